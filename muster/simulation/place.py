"""Where the server is, and what time it is there."""

from __future__ import annotations

import time
from typing import Protocol

import httpx


class SimulatedPlace(Protocol):
    """A cloud with an API, and its time."""

    url: str
    training_seconds: float
    """How long most trainings take by its clock, where they do not take their own time."""
    look_seconds: float
    """How often it is worth while to look whether a round has ended."""
    patience_seconds: float
    """Longer than a round's deadlines together, a round takes at most this."""

    def http(self) -> httpx.Client | None:
        """What requests go through; None for the network."""
        ...

    def now(self) -> float:
        """Seconds from some beginning."""
        ...

    def wait_until(self, moment: float) -> None:
        """Let the time come, and happen what happens until then."""
        ...

    def settle(self) -> None:
        """Let what is queued be done, if nobody else does it."""
        ...


class RemotePlace:
    """A cloud at a URL: its time is everybody's."""

    training_seconds = 0.0
    look_seconds = 0.5
    patience_seconds = 300.0

    def __init__(self, url: str) -> None:
        self.url = url

    def http(self) -> httpx.Client | None:
        """The network."""
        return None

    def now(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wait_until(self, moment: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, moment - time.monotonic()))

    def settle(self) -> None:
        """Its own workers do."""
