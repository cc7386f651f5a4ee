"""What a rollout asks of a client, and what it does with the answer: one write a client and rollout, and of a large fleet only
of so many clients as are needed.
"""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.instants import Clock
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.rollout import ALL, Rollout
from chalicelib.rollouts.assigning import Side, given_to, side_of
from chalicelib.rollouts.report import RolloutReport, Verification, is_asked, kept_until
from chalicelib.rollouts.steering import Guarding
from chalicelib.rollouts.store import ReportStore
from muster.wire import messages as wire


class Reporting:
    """Between heartbeats and rollouts. `active` answers from memory how many clients of a model live."""

    def __init__(self, *, store: ReportStore, active: Callable[[str], int], clock: Clock) -> None:
        self._store = store
        self._active = active
        self._clock = clock

    def heard(self, client_id: str, beat: wire.Heartbeat, deployment: Deployment) -> wire.RolloutQuestion | None:
        """Take what a heartbeat says of the rollout that goes on, and return what that asks of the client; None when nothing.

        An answer for another rollout, of a version that is not the client's, or without what was asked, is no answer.
        """
        rollout = deployment.rollout
        if rollout is None:
            return None
        if rollout.strategy.kind == "blue-green":
            return self._warmed(client_id, beat, deployment.model, rollout)
        guarding = Guarding.of(rollout.strategy)
        side = side_of(deployment.model, rollout, client_id)
        if guarding is None or side is Side.REST or not self._is_asked(client_id, deployment.model, rollout):
            return None
        name, said = _name(deployment.model, rollout), beat.report
        if said is None or said.rollout != name or guarding.metric.name not in said.metrics:
            return wire.RolloutQuestion(rollout=name, metrics=[guarding.metric.name])
        run = given_to(client_id, deployment)
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
