"""What stays on a device from round to round: a personal part of the model, an optimizer's memory.

It changes with every training, and a training may be done twice for one place: an update was not delivered, a process died. So
there are two of it, *before* the place for which it was last trained, and *after* it. Whoever trains for the same place again
begins with what was before.
"""

from __future__ import annotations

from pathlib import Path

from muster.training.saved import Saved, discard, joined, read, write

FILE = "local.state"


class LocalState:
    """In memory, and in a file as soon as there is a folder. A disk that takes none leaves it in memory."""

    def __init__(self, initial: Saved) -> None:
        self._before = self.latest = initial
        self._place: str | None = None
        self._shape = ""
        self._path: Path | None = None

    def attach(self, path: Path, shape: str) -> None:
        """Go on with what a file holds, and keep it there from now on. `shape` says of what it is: what another shape of
        module or another optimizer kept is logged and discarded.
        """
        if path == self._path and shape == self._shape:
            return
        self._path, self._shape = path, shape
        found = read(path)
        if found is None:
            return
        if found.document.get("shape") != shape:
            discard(path, "it is of another module or optimizer")
            return
        self._place = str(found.document["place"])
        self._before, self.latest = found.part("before"), found.part("after")

    def before(self, place: str | None) -> Saved:
        """What a training for a place begins with; of a place that is None nothing is known."""
        return self._before if place is not None and place == self._place else self.latest

    def keep(self, place: str | None, after: Saved) -> None:
        """Remember what a training for a place ended with."""
        self._before, self.latest, self._place = self.before(place), after, place
        if self._path is not None and place is not None:
            both = joined(before=self._before, after=after)
            write(self._path, Saved(both.arrays, {**both.document, "place": place, "shape": self._shape}))
