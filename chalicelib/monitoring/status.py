"""Status: a model, its training, what is deployed, and the current round, in one call."""

from __future__ import annotations

from chalicelib.errors import Refused
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.receipt import summarise
from chalicelib.rounds.round import Phase, Round, round_id
from chalicelib.rounds.store import RoundStore
from muster.wire import messages as wire
from muster.wire.problems import Problem

PAGE = 50


class Status:
    """Reads only."""

    def __init__(self, catalogue: Catalogue, registry: RegistryStore, rounds: RoundStore) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._rounds = rounds

    def model(self, name: str) -> wire.ModelStatus:
        """Everything about one model.

        Raises:
            Refused: `unknown-model`.
        """
        model = self._catalogue.model(name)
        deployment, newest = self._registry.deployment(name), self._registry.newest(name)
        if deployment is None or newest is None:
            raise AssertionError(f"model {name} exists without a version")
        rnd = self._rounds.latest(name)
        return wire.ModelStatus(
            model=name,
            config=model.config,
            training=wire.TrainingReply(
                state=model.training.value,
                rounds_completed=rnd.completed if rnd else 0,
                rounds_wanted=model.rounds_wanted,
            ),
            deployed_version=deployment.stable.version,
            deployment_revision=deployment.revision,
            newest_version=newest.number,
            round=self._reply(rnd) if rnd else None,
        )

    def rounds(self, name: str, before: int | None) -> wire.RoundList:
        """A page of a model's rounds, newest first, those below `before`.

        Raises:
            Refused: `unknown-model`.
        """
        self._catalogue.model(name)
        page = self._rounds.history(name, before, PAGE)
        more = page[-1].number if page and page[-1].number > 1 else None
        return wire.RoundList(rounds=[self._reply(rnd) for rnd in page], before=more)

    def round(self, name: str, number: int) -> wire.RoundReply:
        """One round.

        Raises:
            Refused: `unknown-model`, `unknown-round`.
        """
        self._catalogue.model(name)
        rnd = self._rounds.get(name, number)
        if rnd is None:
            raise Refused(
                Problem.UNKNOWN_ROUND,
                f"no round {round_id(name, number)}",
                expected="the number of a round of the model",
                got=number,
            )
        return self._reply(rnd)

    def _reply(self, rnd: Round) -> wire.RoundReply:
        summary = rnd.summary or summarise(self._rounds.receipts(rnd.id))
        judged = rnd.phase in (Phase.EVALUATING, Phase.COMPLETED)
        return wire.RoundReply(
            round=rnd.id,
            number=rnd.number,
            phase=rnd.phase.value,
            base_version=rnd.base.version,
            opened_at=rnd.opened_at,
            report_by=rnd.report_by,
            closed_at=rnd.closed_at,
            finished_at=rnd.finished_at,
            assigned=summary.assigned,
            reported=summary.reported,
            accepted=summary.accepted,
            rejected=summary.rejected or {},
            late=summary.late,
            uploaded_bytes=summary.uploaded_bytes,
            examples=summary.examples,
            evaluations=sum(e.is_complete for e in self._rounds.evaluations(rnd.id)) if judged else 0,
            version=rnd.candidate.version if rnd.candidate else None,
            gain=rnd.gain,
            deployed=rnd.was_deployed,
            reason=rnd.reason,
        )
