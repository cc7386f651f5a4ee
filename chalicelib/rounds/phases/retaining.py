"""Lets a model's versions expire and be deleted, as the sweep looks at them; counts what they take.

What is due is decided anew at every sweep (`chalicelib.registry.retention`), and each step is one conditional write: what a
sweep that died, or had enough, has left is the next one's. Objects are not touched here: a version that was deleted names none,
and the next sweep deletes what nobody names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.registry.model import Model
from chalicelib.registry.retained import RetentionStore
from chalicelib.registry.retention import GRACE, Fate, Reach, Review, StorageCount
from chalicelib.registry.sweep import Names


class Retaining:
    """One sweep's look at one model's versions, newest first: at most `most` of them are changed in each way, the oldest."""

    def __init__(self, *, store: RetentionStore, model: Model, reach: Reach, clock: Clock, most: int) -> None:
        self._store = store
        self._model = model
        self._clock = clock
        self._review = Review(keep=model.config.keep_versions, reach=reach, now=clock())
        self._count = StorageCount()
        self._due: dict[Fate, deque[Names]] = {fate: deque(maxlen=most) for fate in (Fate.UNMARKED, Fate.OVERDUE, Fate.MARKED)}

    def see(self, version: Names) -> None:
        """Look at the next version."""
        standing = self._review.standing(version)
        self._count.add(standing)
        if standing.fate in self._due:
            self._due[standing.fate].append(version)

    def act(self) -> None:
        """Do what is due, when all versions were seen. Whatever came to keep a version meanwhile wins."""
        name, now = self._model.name, self._clock()
        expires_at = now + GRACE
        self._each(Fate.UNMARKED, "a version is kept again", lambda v: self._store.unmark(name, v.number))
        self._each(
            Fate.OVERDUE, "a version was deleted", lambda v: self._store.delete(name, v, self._model.config_revision, now)
        )
        self._each(Fate.MARKED, "a version expires", lambda v: self._store.mark(name, v.number, expires_at))
        self._store.put_storage(name, self._count.total(now))

    def _each(self, fate: Fate, told: str, write: Callable[[Names], bool]) -> None:
        for version in reversed(self._due[fate]):
            if write(version):
                log.info(told, extra={"model": self._model.name, "version": version.number})
