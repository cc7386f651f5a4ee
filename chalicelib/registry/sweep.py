"""Sweeping the bucket: when it is due, what versions let go, and how no sweep takes what a version is about to name (pure).

    begin ──▶ read all names ──▶ page after page: old, and not named? ──▶ hold ──▶ read new names ──▶ delete ──▶ release ──▶ …

Objects are named by their content, so a new version may come to name an old object that nothing named. Whoever makes a version
therefore reads the sweep's row *before* it looks for its objects, and commits on the condition that there was no hold since:
then either the version was there when the sweep read the names, or its maker looked for the objects after they were deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from chalicelib.instants import Instant
from chalicelib.storage import keys
from muster.wire.refs import CheckpointRef, OptimizerState

EVERY = timedelta(hours=25)
"""From the beginning of one sweep to the next. Longer than any aggregation: what a version lets go in one sweep, and the next
one deletes, is then in the manifest of no round that still aggregates.
"""

HOLD = timedelta(minutes=10)
"""How long a sweep that died may keep versions from being born: longer than the deletion of a page can take."""

ORPHANED = timedelta(days=2)
"""How old an object must be before it is an orphan; publications and registrations take minutes."""

KEPT = timedelta(days=30)
"""For how long every version keeps its optimizer's state and its deltas."""

KEPT_STEPS = 10
"""Steps of rollback whose targets keep them, however old."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The one row of the sweep."""

    begun_at: Instant | None = None
    after: str | None = None
    """The key up to which it came; None: it came to the end."""
    held_until: Instant | None = None
    """No version is born before. Each hold and each release writes another instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a version's row names, and what decides for how long. A version that was deleted names nothing."""

    number: int
    created_at: Instant
    checkpoint: CheckpointRef
    document_sha256: str
    optimizer: OptimizerState | None = None
    expires_at: Instant | None = None
    deleted_at: Instant | None = None
    pinned: bool = False

    @property
    def lasting(self) -> Iterator[str]:
        """Keys of the objects that it names until it is deleted."""
        if self.deleted_at is None:
            yield keys.CHECKPOINT.key(sha256=self.checkpoint.sha256)
            yield keys.DOCUMENT.key(sha256=self.document_sha256)

    @property
    def passing(self) -> Iterator[str]:
        """Keys of the objects that it names for as long as it is likely to be started from, or downloaded."""
        yield from chain(self.states, self.deltas)

    @property
    def states(self) -> dict[str, int]:
        """Of these the files of its optimizer's state, and their bytes."""
        files = self.optimizer.files if self.optimizer and self.deleted_at is None else ()
        return {keys.STATE.key(sha256=file.sha256): file.nbytes for file in files}

    @property
    def deltas(self) -> dict[str, int]:
        """Of these the deltas that lead to it, and their bytes."""
        found = self.checkpoint.deltas if self.deleted_at is None else ()
        target = self.checkpoint.sha256
        return {keys.DELTA.key(base_sha256=delta.base_sha256, target_sha256=target): delta.nbytes for delta in found}


def is_due(last: Sweep, now: datetime) -> bool:
    """Whether it is time for a sweep. The first one waits as long as every other, from the day on which somebody looked."""
    return last.begun_at is not None and now - last.begun_at >= EVERY


def is_held(sweep: Sweep, now: datetime) -> bool:
    """Whether objects are just being deleted, and no version can be born."""
    return sweep.held_until is not None and now < sweep.held_until


def lets_go(version: Names, in_use: Collection[int], now: datetime) -> bool:
    """Whether a version should let go its optimizer's state and its deltas: it is old, and its model does not use it.

    A round that starts from it all the same, because an operator deploys it again, begins its optimizer anew; devices download
    it whole.
    """
    has_some = next(version.passing, None) is not None
    return has_some and version.number not in in_use and now - version.created_at >= KEPT
