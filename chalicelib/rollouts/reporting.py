"""What a rollout or an experiment asks of a client, and what it does with the answer: one write a client, and of a large fleet
only of so many clients as are needed.
"""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.clients.client import Described
from chalicelib.instants import Clock
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.registry.rollout import ALL, Rollout
from chalicelib.rollouts import trial
from chalicelib.rollouts.assigning import Side, given_to, side_of, trial_of
from chalicelib.rollouts.report import RolloutReport, Verification, is_asked, kept_until
from chalicelib.rollouts.steering import Guarding
from chalicelib.rollouts.store import ReportStore
from muster.wire import messages as wire


class Reporting:
    """Between heartbeats and what goes on. `active` answers from memory how many clients of a model live, `members` how many of
    a cohort (`<name>.<revision>`); None when it was not counted yet.
    """

    def __init__(
        self, *, store: ReportStore, active: Callable[[str], int], members: Callable[[str], int | None], clock: Clock
    ) -> None:
        self._store = store
        self._active = active
        self._members = members
        self._clock = clock

    def heard(self, client: Described, beat: wire.Heartbeat, deployment: Deployment) -> wire.RolloutQuestion | None:
        """Take what a heartbeat says of the rollout or the experiment that goes on, and return what that asks of the client;
        None when nothing.

        An answer for another one, of a version that is not the client's, or without what was asked, is no answer.
        """
        if deployment.experiments:
            tried = trial_of(client, deployment)
            return self._tried(client.client_id, beat, deployment.model, *tried) if tried else None
        if deployment.rollout is None:
            return None
        if deployment.rollout.strategy.kind == "blue-green":
            return self._warmed(client.client_id, beat, deployment.model, deployment.rollout)
        return self._guarded(client, beat, deployment, deployment.rollout)

    def _guarded(
        self, client: Described, beat: wire.Heartbeat, deployment: Deployment, rollout: Rollout
    ) -> wire.RolloutQuestion | None:
        """A client with the candidate, or of its control, is asked what it measures of what it is given."""
        client_id, guarding = client.client_id, Guarding.of(rollout.strategy)
        side = side_of(deployment.model, rollout, client_id)
        if guarding is None or side is Side.REST or not self._is_asked(client_id, deployment.model, rollout):
            return None
        name, said = _name(deployment.model, rollout), beat.report
        if said is None or said.rollout != name or guarding.metric.name not in said.metrics:
            return wire.RolloutQuestion(rollout=name, metrics=[guarding.metric.name])
        run = given_to(client, deployment)
        if beat.version == run.version:
            now = self._clock()
            report = RolloutReport(
                client_id=client_id,
                version=run.version,
                at=now,
                is_candidate=side is Side.CANDIDATE,
                value=said.metrics[guarding.metric.name],
                ttl=kept_until(rollout, now),
            )
            self._store.add(deployment.model, rollout, report)
        return None

    def _tried(
        self, client_id: str, beat: wire.Heartbeat, model: str, experiment: Experiment, arm: ExperimentArm
    ) -> wire.RolloutQuestion | None:
        """A client of an experiment is asked what it measures of its arm's version, until the horizon."""
        now, metric = self._clock(), experiment.metric.name
        if experiment.horizon is not None and now >= experiment.horizon:
            return None
        if not trial.is_asked(model, experiment, client_id, self._in(model, experiment)):
            return None
        name, said = f"{model}.r{experiment.began}", beat.report
        if said is None or said.rollout != name or metric not in said.metrics:
            return wire.RolloutQuestion(rollout=name, metrics=[metric])
        if beat.version == arm.checkpoint.version:
            report = trial.ExperimentReport(
                client_id=client_id,
                version=arm.checkpoint.version,
                arm=arm.name,
                at=now,
                value=said.metrics[metric],
                ttl=trial.kept_until(experiment, now),
            )
            self._store.add_trial(model, experiment, report)
        return None

    def _in(self, model: str, experiment: Experiment) -> int:
        """How many active clients an experiment has, or may have."""
        active = self._active(model)
        members = None if experiment.cohort is None else self._members(experiment.cohort)
        return active if members is None else min(active, members)

    def _warmed(self, client_id: str, beat: wire.Heartbeat, model: str, rollout: Rollout) -> wire.RolloutQuestion | None:
        """A client is asked to have the candidate ready, as long as it is given to nobody; and whether it has is counted."""
        if rollout.step:
            return None
        name, candidate = _name(model, rollout), rollout.candidate.version
        said = beat.report
        is_ready = beat.version == candidate or (said is not None and (said.rollout, said.ready) == (name, candidate))
        if self._is_asked(client_id, model, rollout):
            now = self._clock()
            ttl = kept_until(rollout, now)
            self._store.verify(model, rollout, Verification(client_id=client_id, at=now, is_ready=is_ready, ttl=ttl))
        return None if is_ready else wire.RolloutQuestion(rollout=name, standby=candidate)

    def _is_asked(self, client_id: str, model: str, rollout: Rollout) -> bool:
        concerned = ALL if rollout.strategy.kind == "blue-green" else rollout.share + rollout.control
        return is_asked(model, rollout, client_id, concerned, self._active(model))


def _name(model: str, rollout: Rollout) -> str:
    return f"{model}.r{rollout.began}"
