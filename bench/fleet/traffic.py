"""Requests that reach the API, second by second, and what its throttle lets through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KINDS = ("heartbeats", "check-ins", "work", "enrolments", "too often")
"""The last are those that a client's own bucket refuses."""
AMONG_THEM = ("rash", "throttled", "rash throttled", "unanswered")


class Traffic:
    """The requests of a day, and of the time before that makes it an ordinary one. Seconds count from its midnight."""

    def __init__(self, begins: float, ends: float) -> None:
        self._begins = int(begins)
        self._counted = {kind: np.zeros(int(ends - begins), np.int64) for kind in (*KINDS, *AMONG_THEM)}

    def count(self, what: str, at: float, requests: int) -> None:
        """So many more."""
        self._counted[what][int(at) - self._begins] += requests

    def of_the_day(self, what: str) -> NDArray[np.int64]:
        """Requests a second, of the day alone."""
        return self._counted[what][-self._begins :]

    @property
    def all(self) -> NDArray[np.int64]:
        """All that arrive at the gateway."""
        return np.asarray(sum(self.of_the_day(kind) for kind in KINDS), np.int64)
