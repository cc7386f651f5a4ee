"""A rollout as it stands, for operators: its step, and what its clients say."""

from __future__ import annotations

from datetime import datetime

from chalicelib.instants import Clock
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.rollout import Rollout
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.deployments import no_rollout, reply_of
from chalicelib.rollouts.steering import Guarding, findings
from chalicelib.rollouts.store import ReportStore
from muster.wire import admin


class RolloutView:
    """Reads only."""

    def __init__(self, *, catalogue: Catalogue, registry: RegistryStore, reports: ReportStore, clock: Clock) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._reports = reports
        self._clock = clock

    def show(self, name: str) -> admin.RolloutStatus:
        """The rollout that goes on in a model.

        Raises:
            Refusal: `unknown-model`, `no-rollout`.
        """
        self._catalogue.model(name)
        present = self._registry.present(name)
        if present.rollout is None:
            raise no_rollout(present, "show")
        guard, slots = None, None
        if present.rollout.strategy.kind == "blue-green":
            slots = self._slots(name, present.rollout)
        else:
            guard = self._guard(name, present.rollout, self._clock())
        return admin.RolloutStatus(deployment=reply_of(present), guard=guard, slots=slots)

    def _guard(self, name: str, rollout: Rollout, now: datetime) -> admin.GuardReply | None:
        guarding = Guarding.of(rollout.strategy)
        if guarding is None:
            return None
        found = findings(name, rollout, guarding, self._reports.reports(name, rollout), now)
        low, high = guarding.interval(found)
        return admin.GuardReply(
            metric=guarding.metric,
            margin=guarding.guard.margin * guarding.metric.span,
            finding=found.difference.finding.value,
            candidates=len(found.evidence.candidate),
            controls=len(found.evidence.stable),
            waiting=found.waiting,
            candidate_mean=guarding.mean(found.evidence.candidate),
            control_mean=guarding.mean(found.evidence.stable),
            low=low,
            high=high,
            split_is_broken=found.is_broken,
            last_of_candidate=found.last_of_candidate,
        )

    def _slots(self, name: str, rollout: Rollout) -> admin.SlotsReply:
        seen = list(self._reports.verifications(name, rollout))
        return admin.SlotsReply(seen=len(seen), ready=sum(one.is_ready for one in seen))
