"""Does what is due in a model's rollout, or in its experiments, on every tick."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from chalicelib.instants import Clock
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model
from chalicelib.registry.rollout import Rollout
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts import moves
from chalicelib.rollouts.deployments import told
from chalicelib.rollouts.steering import Guarding, due, due_of_two_slots, findings
from chalicelib.rollouts.store import ReportStore
from chalicelib.rollouts.trial import is_over, outcome


class Rollouts:
    """Advances rollouts. Each move is one conditional write, so it may be done twice, at once, late, and by anybody."""

    def __init__(
        self, *, registry: RegistryStore, reports: ReportStore, clock: Clock, timeout_seconds: Callable[[], float]
    ) -> None:
        """Within `timeout_seconds()` every active client was there once."""
        self._registry = registry
        self._reports = reports
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    def advance(self, model: Model) -> Deployment | None:
        """Make the revision that is due, if any; None when nothing is, or when somebody else made that revision."""
        present = self._registry.deployment(model.name)
        if present is None:
            return None
        wanted = self._due(present, present.rollout) if present.rollout else self._ended(present)
        if wanted is None or self._registry.deploy(wanted) != wanted:
            return None
        told(wanted)
        return wanted

    def _ended(self, present: Deployment) -> Deployment | None:
        """The revision that ends an experiment whose horizon has come, of several the first; None when there is none."""
        now = self._clock()
        over = next((experiment for experiment in present.experiments if is_over(experiment, now)), None)
        if over is None:
            return None
        found = outcome(present.model, over, self._reports.trials(present.model, over), now)
        return moves.end(present, over.name, now, f"{over.name} has come to its horizon: {found.said}", found)

    def _due(self, present: Deployment, rollout: Rollout) -> Deployment | None:
        model, now, settled = present.model, self._clock(), timedelta(seconds=self._timeout_seconds())
        if rollout.strategy.kind == "blue-green":
            seen = [] if rollout.step else list(self._reports.verifications(model, rollout))
            return due_of_two_slots(present, seen, settled, now)
        guarding = Guarding.of(rollout.strategy)
        if guarding is None:
            return due(present, None, None, settled, now)
        found = findings(model, rollout, guarding, self._reports.reports(model, rollout), now)
        return due(present, guarding, found, settled, now)
