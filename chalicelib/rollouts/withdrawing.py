"""What a revoked client has said in a rollout or an experiment that goes on counts no longer, nor what it is about to say."""

from __future__ import annotations

from chalicelib.instants import Clock
from chalicelib.registry.deployment import Deployment
from chalicelib.rollouts import trial
from chalicelib.rollouts.report import RolloutReport, Verification, kept_until
from chalicelib.rollouts.store import ReportStore
from chalicelib.rollouts.trial import ExperimentReport


class Withdrawing:
    """Puts rows that count for nothing where the client's reports are, or would be: one of its heartbeats may be under way that
    was authenticated before.
    """

    def __init__(self, *, reports: ReportStore, clock: Clock) -> None:
        self._reports = reports
        self._clock = clock

    def withdraw(self, client_id: str, present: Deployment) -> None:
        """Take a client out of what goes on in a model; a repeat changes nothing."""
        now, model = self._clock(), present.model
        if (rollout := present.rollout) is not None:
            ttl = kept_until(rollout, now)
            unheard = RolloutReport(client_id=client_id, version=-1, at=now, is_candidate=False, ttl=ttl, withdrawn=True)
            unseen = Verification(client_id=client_id, at=now, is_ready=False, ttl=ttl, withdrawn=True)
            self._reports.withdraw(model, rollout.began, unseen if rollout.strategy.kind == "blue-green" else unheard)
        for experiment in present.experiments:
            ttl = trial.kept_until(experiment, now)
            said = ExperimentReport(client_id=client_id, version=-1, arm="", at=now, ttl=ttl, withdrawn=True)
            self._reports.withdraw(model, experiment.began, said)
