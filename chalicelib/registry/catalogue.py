"""The operators' use cases of models: bring a checkpoint, create a model, list them, start and stop training."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from chalicelib.errors import Refusal, near
from chalicelib.instants import Clock, text
from chalicelib.registry.checkpoints import Checkpoints
from chalicelib.registry.configuration import Configuration
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.registry.schemas import Schemas
from chalicelib.registry.store import RegistryStore, Swept
from chalicelib.registry.version import Version
from chalicelib.storage import keys
from chalicelib.storage.presign import Presigner
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.problems import Problem
from muster.wire.refs import canonical_json, digest
from muster.wire.tensors import Schema

CheckRules = Callable[[admin.RoundConfig], None]
"""Refuses a configuration whose rules cannot be carried out. The aggregation knows; the registry only asks."""

CheckModel = Callable[[admin.RoundConfig, Callable[[], Schema]], None]
"""Refuses one whose rules do not suit the model, of which it may ask for the schema."""

CheckCohort = Callable[[str], object]
"""Refuses a name that no cohort has."""

_past_sweeps = Retrying(
    retry=retry_if_exception_type(Swept),
    stop=stop_after_attempt(6),
    wait=wait_random_exponential(multiplier=0.1, max=2.0),
    reraise=True,
)


class Catalogue:
    """Models, as operators handle them."""

    def __init__(
        self,
        *,
        store: RegistryStore,
        checkpoints: Checkpoints,
        schemas: Schemas,
        presigner: Presigner,
        clock: Clock,
        check_rules: CheckRules,
        check_model: CheckModel,
        check_cohort: CheckCohort,
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._schemas = schemas
        self._presigner = presigner
        self._clock = clock
        self._check_rules = check_rules
        self._check_model = check_model
        self._check_cohort = check_cohort

    def grant_checkpoint(self, request: admin.CheckpointUpload) -> wire.UploadGrant:
        """One PUT of exactly these bytes under the name of their digest. 412 from the store means: they are there already."""
        key = keys.CHECKPOINT.key(sha256=request.sha256)
        url, headers = self._presigner.put(key, request.bytes, request.sha256)
        expires_at = self._clock() + timedelta(seconds=self._presigner.seconds)
        return wire.UploadGrant(url=url, headers=headers, expires_at=expires_at)

    def create(self, request: admin.CreateModel, by: str | None) -> None:
        """Make a model whose version 0 is the uploaded checkpoint, and deploy it; the same again is the same.

        Raises:
            Refusal: `invalid-body` (rules that cannot be carried out, or not on this model), `upload-missing`,
                `checkpoint-unfit`, `model-exists` (with other content), `unknown-cohort`.
        """
        self._check_rules(request.config)
        if request.config.cohort is not None:
            self._check_cohort(request.config.cohort)
        holder = _past_sweeps(self._create, request, by)
        if holder is None:
            return
        first, configured = self._store.version(request.name, 0), self._store.configuration(request.name, 1)
        same = first is not None and first.checkpoint.sha256 == request.checkpoint.sha256
        if (configured or holder).config != request.config or not same:
            raise Refusal(
                Problem.MODEL_EXISTS,
                f"model {request.name!r} was created at {text(holder.created_at)} with another config or checkpoint",
                expected="a name that is free, or the same content",
                got=request.name,
            )

    def _create(self, request: admin.CreateModel, by: str | None) -> Model | None:
        """Make the model, or find the one that has its name.

        Raises:
            Refusal: `upload-missing`, `checkpoint-unfit`, `invalid-body` (rules that do not suit the model).
            Swept: the bucket was swept meanwhile.
        """
        now, seen = self._clock(), self._store.sweep()
        ref = self._checkpoints.inspected(request.checkpoint, 0, request.config.encoding)
        self._check_model(request.config, lambda: self._schemas.of(ref))
        model = Model(name=request.name, config=request.config, created_at=now)
        document = canonical_json(
            {
                "model": model.name,
                "version": 0,
                "created": text(now),
                "checkpoint": {"sha256": ref.sha256, "bytes": ref.nbytes},
                "config": request.config.model_dump(mode="json"),
            }
        )
        configured = Configuration(
            model=model.name, revision=1, config=request.config, at=now, because="the model was created", by=by
        )
        version = Version(
            model=model.name,
            number=0,
            checkpoint=ref,
            document_sha256=digest(document),
            created_at=now,
            config=request.config,
            revision=0,
        )
        deployment = Deployment(
            model=model.name, revision=1, stable=ref, at=now, because="the model was created", previous=None, by=by
        )
        self._checkpoints.store_document(document)
        return self._store.create(model, configured, version, deployment, seen, self._clock())

    def set_training(self, name: str, request: admin.Training) -> Model:
        """Start or stop a model's training; a round that is open goes on to its end.

        Raises:
            Refusal: `unknown-model`.
        """
        current = self.model(name)
        wanted = current.rounds_wanted if request.rounds is None else request.rounds
        return self._store.set_training(name, TrainingState(request.state), wanted) or current

    def model(self, name: str) -> Model:
        """A model.

        Raises:
            Refusal: `unknown-model`, naming those that are near.
        """
        model = self._store.model(name)
        if model is None:
            known = near(name[:48], (m.name for m in self._store.models()))
            raise Refusal(Problem.UNKNOWN_MODEL, f"no model {name[:48]!r}", expected=known, got=name[:48])
        return model
