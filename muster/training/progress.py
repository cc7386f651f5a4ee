"""How far a training is, on disk: what a process that dies leaves to the next one.

It is of one round, one base and one trainer's settings, which `place` names; another one's is of no use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from muster.training.saved import Saved, discard, read, write

log = logging.getLogger(__name__)

FILE = "progress.state"


class Progress:
    """The file of one training, written no more often than every so many seconds."""

    def __init__(self, path: Path, place: Callable[[], str], *, every_seconds: float, clock: Callable[[], float]) -> None:
        """`place` may take long (it hashes a model), so it is asked for only when there is a file to read or to write."""
        self._path = path
        self._place = place
        self._every_seconds = every_seconds
        self._clock = clock
        self._saved_at = clock()

    def resume(self) -> Saved | None:
        """What an earlier process left of this training, if there is any; what is left of another one is deleted."""
        found = read(self._path)
        if found is None:
            return None
        if found.document.get("place") != self._place():
            discard(self._path, "it is of another round, base or trainer", logging.INFO)
            return None
        return found

    def save_if_due(self, state: Callable[[], Saved]) -> None:
        """Write how far it is, if the last time is long enough ago."""
        if self._clock() - self._saved_at < self._every_seconds:
            return
        try:
            saved = state()
        except TypeError as error:
            log.warning("a training that is interrupted will begin anew: %s", error)
            self._every_seconds = float("inf")
            return
        write(self._path, Saved(saved.arrays, {**saved.document, "place": self._place()}))
        self._saved_at = self._clock()
