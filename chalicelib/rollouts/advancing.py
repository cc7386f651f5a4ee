"""Does what is due in a model's rollout, on every tick."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.instants import Clock
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model
from chalicelib.registry.rollout import Rollout
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.deployments import told
from chalicelib.rollouts.steering import Guarding, due, due_of_two_slots, findings
from chalicelib.rollouts.store import ReportStore


class Rollouts:
    """Advances rollouts. Each move is one conditional write, so it may be done twice, at once, late, and by anybody."""

    def __init__(
        self, *, registry: RegistryStore, reports: ReportStore, clock: Clock, heartbeat_timeout_seconds: float
    ) -> None:
        self._registry = registry
        self._reports = reports
        self._clock = clock
        self._settled = timedelta(seconds=heartbeat_timeout_seconds)

    def advance(self, model: Model) -> Deployment | None:
        """Make the revision that is due, if any; None when nothing is, or when somebody else made that revision."""
        present = self._registry.deployment(model.name)
        if present is None or present.rollout is None:
            return None
        wanted = self._due(present, present.rollout)
        if wanted is None or self._registry.deploy(wanted) != wanted:
            return None
        told(wanted)
        return wanted

    def _due(self, present: Deployment, rollout: Rollout) -> Deployment | None:
        model, now = present.model, self._clock()
        if rollout.strategy.kind == "blue-green":
            seen = [] if rollout.step else list(self._reports.verifications(model, rollout))
            return due_of_two_slots(present, seen, self._settled, now)
        guarding = Guarding.of(rollout.strategy)
        if guarding is None:
            return due(present, None, None, self._settled, now)
        found = findings(model, rollout, guarding, self._reports.reports(model, rollout), now)
        return due(present, guarding, found, self._settled, now)
