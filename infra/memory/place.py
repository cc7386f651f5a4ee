"""The cloud in this process, as a place for `muster.simulation`: its time passes as fast as there is nothing left to do."""

from __future__ import annotations

from typing import Any

import httpx

from infra.memory.cloud import API, MemoryCloud

TICK_SECONDS = 60.0
MONITOR_TICKS = 5


class MemoryPlace:
    """A `SimulatedPlace` with a schedule: a tick each minute, the monitor every five."""

    training_seconds = 10.0
    look_seconds = 15.0
    patience_seconds = 1800.0

    def __init__(self, **settings: Any) -> None:
        self.url = API
        self.cloud = MemoryCloud(**settings)
        self._began = self.cloud.clock.now
        self._ticks = 0

    def close(self) -> None:
        """Let botocore's clients call AWS again."""
        self.cloud.close()

    def http(self) -> httpx.Client:
        """Requests that stay in this process."""
        return self.cloud.http()

    def now(self) -> float:
        """Seconds since the cloud was made."""
        return (self.cloud.clock.now - self._began).total_seconds()

    def wait_until(self, moment: float) -> None:
        """Let time pass, and each tick come that is due until then."""
        while self._ticks * TICK_SECONDS <= moment:
            self._pass(self._ticks * TICK_SECONDS)
            self.cloud.tick()
            if self._ticks % MONITOR_TICKS == 0:
                self.cloud.monitor()
            self.settle()
            self._ticks += 1
        self._pass(moment)

    def settle(self) -> None:
        """Let the workers do what is queued."""
        self.cloud.deliver()

    def _pass(self, moment: float) -> None:
        self.cloud.clock.advance(max(0.0, moment - self.now()))
