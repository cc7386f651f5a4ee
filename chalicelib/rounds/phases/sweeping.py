"""Sweeps the bucket, once a day, of what nothing names: the owner of whatever everybody else has left.

Actors that lose a race to publish, uploads that are never registered, versions that were deleted (`retaining`), and old ones
that let go their optimizer's state and their deltas leave objects that no row names. `chalicelib.registry.sweep` says why
deleting them takes nothing from a version that is just being made. Files of rounds are not its business: a round's end
deletes those (`settling`).

All versions are read for it: one query a megabyte of them. What it deletes stays in the bucket as an older version for 35 days
(infra/resources.yaml), as long as the tables can be restored to an earlier second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.registry.retained import RetentionStore
from chalicelib.registry.retention import Reach
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.sweep import EVERY, HOLD, ORPHANED, Names, Sweep, is_due, lets_go
from chalicelib.rounds.phases.retaining import Retaining
from chalicelib.rounds.reaching import Reaching
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.rows import Unreadable

SWEPT = sorted(kind.template.split("{", 1)[0] for kind in (keys.CHECKPOINT, keys.DELTA, keys.STATE, keys.DOCUMENT))
"""What is swept, in the order of keys."""

MOST_PAGES = 2000
"""Pages that one sweep lists, of 1,000 keys each; the next sweep goes on."""

MOST_LET_GO = 10_000
"""Versions that let go in one sweep."""

MOST_RETAINED = 10_000
"""Versions that are marked in one sweep, that are deleted, and that are kept again; shared by all models."""


class Sweeper:
    """Sweeps when it is time."""

    def __init__(
        self, *, registry: RegistryStore, retained: RetentionStore, reaching: Reaching, blobs: Blobs, clock: Clock
    ) -> None:
        self._registry = registry
        self._retained = retained
        self._reaching = reaching
        self._blobs = blobs
        self._clock = clock
        self._last: Sweep | None = None

    def sweep_if_due(self) -> None:
        """Sweep, if the last sweep began long enough ago and nobody else begins one now.

        An empty stack is not swept, nor one that is being restored: there, rows may still come that name what is there.

        Raises:
            Unreadable: a row cannot be read that may name objects; nothing more is deleted then.
        """
        now = self._clock()
        if self._last and self._last.begun_at and now - self._last.begun_at < EVERY:
            return  # a warm function need not ask
        last = self._registry.sweep()
        if last.begun_at is None or is_due(last, now):
            models = self._registry.names()  # also of those whose own row cannot be read
            if not models or (last.begun_at and self._registry.is_being_restored()):
                return
            begun = self._registry.begin_sweep(last, now)
            if begun and last.begun_at is not None:
                self._sweep(begun, models)
            last = begun or self._registry.sweep()
        self._last = last

    def _sweep(self, mine: Sweep, models: Sequence[str]) -> None:
        newest: dict[str, int] = {}
        share = max(1, MOST_RETAINED // len(models))
        named = set(chain.from_iterable(self._names(model, newest, share) for model in models))
        now, pages, came_to = self._clock(), 0, mine.after or ""
        for prefix in SWEPT:
            begin = came_to if came_to.startswith(prefix) else ""
            if not begin and prefix < came_to:
                continue
            for page in self._blobs.pages(prefix, begin):
                orphans = [o.key for o in page if o.key not in named and now - o.modified_at >= ORPHANED]
                if orphans and not self._delete(mine, orphans, newest):
                    return
                pages += 1
                if not self._registry.note_swept(mine, page[-1].key) or pages >= MOST_PAGES:
                    return
        self._registry.note_swept(mine, None)

    def _names(self, model: str, newest: dict[str, int], share: int) -> set[str]:
        """The keys of all objects that a model's versions name, also of those that let go, or are deleted, now: they are the
        next sweep's.
        """
        now, named, old = self._clock(), set[str](), list[Names]()
        reach = self._reaching.of(model)
        retaining = self._retaining(model, reach, share)
        for version in self._registry.named(model):
            newest[model] = max(version.number, newest.get(model, -1))
            named.update(version.lasting, version.passing)
            if reach and lets_go(version, reach.reasons, now) and len(old) < MOST_LET_GO:
                old.append(version)
            if retaining:
                retaining.see(version)
        for version in old:
            self._registry.let_go(model, version.number)
        if retaining:
            retaining.act()
        return named

    def _retaining(self, name: str, reach: Reach | None, share: int) -> Retaining | None:
        """A look at which versions are kept; None where the model's row, or its deployment, does not say what is."""
        try:
            model = self._registry.model(name)
        except Unreadable as unknown:
            unknown.tell()
            return None
        if model is None or reach is None:
            return None
        return Retaining(store=self._retained, model=model, reach=reach, clock=self._clock, most=share)

    def _delete(self, mine: Sweep, orphans: Sequence[str], newest: dict[str, int]) -> bool:
        """Delete objects that are still not named, while no version can be born; False when another sweep has begun since."""
        until = self._clock() + HOLD
        if not self._registry.hold(mine, until):
            return False
        born = set[str]()
        for model in self._registry.names():
            for version in self._registry.named(model, newest.get(model, -1)):
                born.update(version.lasting, version.passing)
        gone = [key for key in orphans if key not in born]
        self._blobs.delete(gone)
        log.info("objects that nothing names were deleted", extra={"count": len(gone), "first": gone[:3]})
        return self._registry.hold(mine, self._clock())
