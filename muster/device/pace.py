"""How long a device waits: bounded, stretched so that a fleet does not come back all at once, and longer with each failure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Random = Callable[[], float]
"""Draws from 0 (included) to 1 (excluded)."""

JITTER = 0.25
"""Every wait that a server asks for is stretched by up to this fraction."""

HEARTBEAT_SECONDS = 900.0
"""Between heartbeats, as long as the server has not said."""

LEAST_SECONDS = 0.05
MOST_SECONDS = 86_400.0
"""No wait that a server asks for is shorter or longer: neither 0 nor 1e300 is a pace."""

LONGEST_BACK_OFF_SECONDS = 900.0

RETURN_SECONDS = 900.0
"""Over so long a fleet comes back from an outage, on average, or over its own interval, if that is longer."""


def bounded(seconds: float) -> float:
    """A wait as a server asked for it, held within bounds; what is no number is as long as between heartbeats."""
    return HEARTBEAT_SECONDS if math.isnan(seconds) else min(max(seconds, LEAST_SECONDS), MOST_SECONDS)


def spread(seconds: float, random: Random) -> float:
    """A wait between half of this and one and a half: on average as long, and devices that failed together come back apart."""
    return min(seconds * (0.5 + random()), MOST_SECONDS)


def returning(seconds: float, heartbeat_seconds: float, random: Random) -> float:
    """A wait of a device that checks in every so many seconds otherwise, and whose server is overloaded or does not answer: a
    fleet asks no more often than when all is well. It takes `RETURN_SECONDS` at the least, or as long as between heartbeats, if
    those are nearer to each other.
    """
    return spread(max(seconds, min(RETURN_SECONDS, heartbeat_seconds)), random)


def stretched(seconds: float, random: Random) -> float:
    """A wait, up to a quarter longer."""
    return seconds * (1.0 + JITTER * random())


@dataclass(slots=True)
class BackOff:
    """Waits after failures of one kind: at least `first` seconds, and at most twice as long with each further one, to a cap.

    Where in that range is drawn anew each time, so that devices that failed together come back apart ("full jitter"; Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog 2015), but never sooner than after `first` seconds.
    """

    first: float
    longest: float = LONGEST_BACK_OFF_SECONDS
    failures: int = 0

    def failed(self) -> None:
        """It failed once more."""
        self.failures = min(self.failures + 1, 32)

    def succeeded(self) -> None:
        """The next failure is the first again."""
        self.failures = 0

    def seconds(self, random: Random) -> float:
        """How long to wait now."""
        most = max(self.first, min(self.longest, self.first * 2.0**self.failures))
        return self.first + random() * (most - self.first)
