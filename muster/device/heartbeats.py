"""Heartbeats: when the next one is due, what it carries, and what its answer changes.

due ──▶ the version that runs, and what a rollout asked for ──▶ answered: the interval, the version to run, a rollout's question
                                                          └───▶ overloaded: as often, on average, and apart
"""

from __future__ import annotations

from collections.abc import Callable

from muster import telemetry
from muster.device.keys import Keys
from muster.device.pace import HEARTBEAT_SECONDS, Random, bounded, spread, stretched
from muster.device.rollouts import RolloutAnswers
from muster.device.versions import DeviceVersions
from muster.http.errors import Overloaded, Refused
from muster.wire import messages as wire


class Heartbeats:
    """The heartbeats of one device for one model."""

    def __init__(
        self,
        *,
        model: str,
        keys: Keys,
        versions: DeviceVersions,
        rollouts: RolloutAnswers,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._model = model
        self._keys = keys
        self._versions = versions
        self._rollouts = rollouts
        self._clock = clock
        self._random = random
        self._next = clock()
        self._interval_seconds = HEARTBEAT_SECONDS

    @property
    def seconds_left(self) -> float:
        """How long it is until the next one is due."""
        return max(0.0, self._next - self._clock())

    @property
    def interval_seconds(self) -> float:
        """How long it is between two, as the server said last."""
        return self._interval_seconds

    def come_every(self, seconds: float) -> None:
        """Go by this interval, as the server asks for it, within bounds."""
        self._interval_seconds = bounded(seconds)

    def postpone(self) -> None:
        """Let the next one be due an interval from now at the earliest: the server has just heard of the device otherwise."""
        self._next = max(self._next, self._clock() + self._interval_seconds)

    def come_after(self, seconds: float) -> None:
        """Let the next one be due then."""
        self._next = self._clock() + seconds

    def beat_if_due(self) -> wire.HeartbeatReply | None:
        """Send one if it is due; None if it is not. The next one is due an interval later, whatever becomes of it.

        Raises:
            Overloaded: the server is left alone for half an interval to one and a half.
            Refused: of what was told to a rollout, nothing is told again, unless the key is what was refused.
            Unreachable: the server did not answer; what was told is told again.
        """
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + stretched(self._interval_seconds, self._random)
        running = self._versions.running
        told = self._rollouts.report(running, self._versions.given)
        beat = wire.Heartbeat(model=self._model, version=running, report=told)
        try:
            with telemetry.span("heartbeat", model=self._model, version=running):
                reply = self._keys.call("POST", "/v1/heartbeat", wire.HeartbeatReply, beat)
        except Overloaded:
            self._next = now + spread(self._interval_seconds, self._random)
            raise
        except Refused as refused:
            if told is not None and not refused.unauthenticated:
                self._rollouts.refused(told)
            raise
        self._rollouts.heard(told, reply)
        self._versions.heard(running, reply)
        self.come_every(reply.next_heartbeat_seconds)
        self._next = now + (self._interval_seconds if reply.drawn else stretched(self._interval_seconds, self._random))
        return reply
