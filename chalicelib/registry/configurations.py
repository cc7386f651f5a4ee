"""The operators' use cases of configurations: configure a model, and the history of that.

An operator names the revision that it saw. If the model was configured since, nothing changes and the refusal says what is
there. If what is there is the very thing that was asked for, the request came twice, and has the same answer.
"""

from __future__ import annotations

from chalicelib.errors import Refusal
from chalicelib.instants import Clock, text
from chalicelib.log import log
from chalicelib.registry.catalogue import Catalogue, CheckCohort, CheckModel, CheckRules
from chalicelib.registry.configuration import Configuration
from chalicelib.registry.model import Model
from chalicelib.registry.schemas import Schemas
from chalicelib.registry.store import RegistryStore
from chalicelib.storage.rows import page
from muster.wire import admin
from muster.wire.encodings import NotEncodable, encoded_schema
from muster.wire.problems import Problem
from muster.wire.tensors import Schema, update_schema

PAGE = 50


class Configurations:
    """How rounds are run, as operators decide it."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        store: RegistryStore,
        schemas: Schemas,
        check_rules: CheckRules,
        check_model: CheckModel,
        check_cohort: CheckCohort,
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._schemas = schemas
        self._check_rules = check_rules
        self._check_model = check_model
        self._check_cohort = check_cohort
        self._clock = clock

    def page(self, model: str, query: admin.Page) -> admin.ConfigurationList:
        """A page of a model's configurations, newest first, those below `before`.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        found, before = page(self._store.page_of_configurations(model, query.before, PAGE), lambda row: row.revision)
        return admin.ConfigurationList(configurations=[_reply(row) for row in found], before=before)

    def configure(self, name: str, request: admin.Configure, by: str | None) -> admin.ConfigurationReply:
        """Run a model's rounds so from the next one on; a round that is open goes on as it opened.

        Raises:
            Refusal: `unknown-model`, `invalid-body` (rules that cannot be carried out, or do not suit the model; an encoding
                that cannot hold it), `configuration-moved`, `unknown-cohort`.
        """
        model = self._catalogue.model(name)
        self._check_rules(request.config)
        if request.config.cohort is not None:
            self._check_cohort(request.config.cohort)
        self._check_model(request.config, lambda: self._schema(model))
        self._check_encoding(model, request.config)
        if model.config_revision == request.revision and model.config == request.config:
            return _reply(self._present(model))
        wanted = Configuration(
            model=name,
            revision=request.revision + 1,
            config=request.config,
            at=self._clock(),
            because=request.because,
            by=by,
        )
        if model.config_revision == request.revision and (request.dry_run or self._store.configure(wanted)):
            if not request.dry_run:
                log.info("configured", extra={"model": name, "revision": wanted.revision, "by": by, "because": wanted.because})
            return _reply(wanted)
        made = self._store.configuration(name, wanted.revision)
        if made is None or (made.config, made.because) != (wanted.config, wanted.because):
            raise _moved(self._catalogue.model(name), made, request.revision)
        return _reply(made)

    def _present(self, model: Model) -> Configuration:
        """The present revision; of a model that is older than the history, what its own row knows of it."""
        return self._store.configuration(model.name, model.config_revision) or Configuration(
            model=model.name,
            revision=model.config_revision,
            config=model.config,
            at=model.created_at,
            because="the model was created",
        )

    def _schema(self, model: Model) -> Schema:
        return self._schemas.of(self._store.present(model.name).stable)

    def _check_encoding(self, model: Model, config: admin.RoundConfig) -> None:
        if config.encoding == model.config.encoding:
            return
        try:
            encoded_schema(update_schema(self._schema(model)), config.encoding)
        except NotEncodable as unable:
            raise Refusal(
                Problem.INVALID_BODY,
                f"config.encoding: no update of this model can be written in {config.encoding}: {unable}",
                expected="another encoding",
                got=config.encoding,
            ) from unable


def _moved(present: Model, next_one: Configuration | None, revision: int) -> Refusal:
    who = f"; revision {next_one.revision} is of {text(next_one.at)}: {next_one.because}" if next_one else ""
    return Refusal(
        Problem.CONFIGURATION_MOVED,
        f"revision {revision} is not the present configuration of {present.name}; nothing was changed{who}",
        expected=f"revision {present.config_revision}",
        got=f"revision {revision}",
    )


def _reply(made: Configuration) -> admin.ConfigurationReply:
    return admin.ConfigurationReply(
        model=made.model, revision=made.revision, config=made.config, at=made.at, because=made.because, by=made.by
    )
