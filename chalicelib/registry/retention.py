"""Which versions a model keeps, what is due for the others, and how many bytes they all take (pure).

    kept ── nothing keeps it ──▶ expiring ── GRACE later, and still nothing does ──▶ deleted
      ▲                             │
      └──── something keeps it ─────┘

What keeps a version is in `Kept`. Each step is one conditional write (`chalicelib.registry.retained`); the mark is the instant
at which the version is to be deleted. Whoever comes to serve a version takes its mark away in the same transaction, and a
deletion has the very mark that it saw as its condition: of an operator who deploys and a deletion that act at once one wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.instants import Instant
from chalicelib.registry.sweep import Names
from chalicelib.storage import keys

GRACE = timedelta(days=7)
"""From the mark to the deletion: a week in which an operator may notice, and bring the version back."""

LEAST_AGE = timedelta(days=1)
"""No younger version is marked, however many are newer. With the grace period, none is deleted before it is eight days old."""


class Kept(StrEnum):
    """Why a version is kept."""

    ALL = "all"
    """The model keeps every version."""
    LAST = "last"
    """It is one of the last `keep_versions` that were not deleted."""
    FIRST = "first"
    """It is version 0, with which the model began, and by which a repeated creation knows itself."""
    YOUNG = "young"
    PINNED = "pinned"
    """An operator keeps it."""
    DEPLOYED = "deployed"
    ROLLOUT = "rollout"
    """A rollout gives it to some clients."""
    EXPERIMENT = "experiment"
    """An experiment does."""
    MENTIONED = "mentioned"
    """The present deployment says something of it: what was rolled back last is one."""
    ROLLBACK = "rollback"
    """As many steps of rollback as the sweep counts reach it."""
    CHALLENGER = "challenger"
    ROUND = "round"
    """The last round starts from it, made it, or is judged beside it."""
    NEXT_BASE = "next-base"
    """The next round would start from it."""


class Fate(StrEnum):
    """What is due for a version."""

    KEPT = "kept"
    UNMARKED = "unmarked"
    """It is marked, and something keeps it: the mark is to be taken away."""
    MARKED = "marked"
    """Nothing keeps it: it is to be marked."""
    EXPIRING = "expiring"
    """It is marked, and waits."""
    OVERDUE = "overdue"
    """It is marked, and the grace period is over: it is to be deleted."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Reach:
    """What points at versions of a model, other than how new they are."""

    reasons: Mapping[int, tuple[Kept, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Iterable[tuple[int | None, Kept]]) -> Reach:
        """From pairs of a version (None: nothing) and why it is kept."""
        reasons: dict[int, tuple[Kept, ...]] = {}
        for version, why in found:
            if version is not None and why not in reasons.get(version, ()):
                reasons[version] = (*reasons.get(version, ()), why)
        return cls(reasons)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is due for one version, and why it is kept, if it is."""

    version: Names
    fate: Fate
    because: tuple[Kept, ...]


class Review:
    """Looks at a model's versions, newest first, each once."""

    def __init__(self, *, keep: int | None, reach: Reach, now: datetime, newer: int = 0) -> None:
        """`keep` is the model's `keep_versions`; `newer` says how many versions before the first one were not deleted."""
        self._keep = keep
        self._reach = reach
        self._now = now
        self.newer = newer
        """How many of the versions that it has seen were not deleted."""

    def standing(self, version: Names) -> Standing:
        """What is due for the next version."""
        if version.deleted_at is not None:
            return Standing(version, Fate.DELETED, ())
        because = tuple(self._reasons(version))
        self.newer += 1
        return Standing(version, _fate(version, because, self._now), because)

    def _reasons(self, version: Names) -> Iterable[Kept]:
        if self._keep is None:
            yield Kept.ALL
        elif self.newer < self._keep:
            yield Kept.LAST
        if version.number == 0:
            yield Kept.FIRST
        if version.pinned:
            yield Kept.PINNED
        yield from self._reach.reasons.get(version.number, ())
        if self._now - version.created_at < LEAST_AGE:
            yield Kept.YOUNG


def _fate(version: Names, because: tuple[Kept, ...], now: datetime) -> Fate:
    if because:
        return Fate.KEPT if version.expires_at is None else Fate.UNMARKED
    if version.expires_at is None:
        return Fate.MARKED
    return Fate.EXPIRING if now < version.expires_at else Fate.OVERDUE


@dataclass(frozen=True, slots=True)
class Amount:
    """Some files, each counted once however many versions name it."""

    count: int = 0
    nbytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What the versions of a model take, without documents (some kB each). What two models name is counted in both."""

    counted_at: Instant
    checkpoints: Amount = Amount()
    states: Amount = Amount()
    deltas: Amount = Amount()
    expiring: Amount = Amount()
    """Of all these, what goes when everything is deleted that nothing keeps; the count is of versions."""
    deleted: int = 0
    """Versions of which only the row is left."""


class StorageCount:
    """Counts what versions name, each file once."""

    def __init__(self) -> None:
        self._checkpoints: dict[str, int] = {}
        self._states: dict[str, int] = {}
        self._deltas: dict[str, int] = {}
        self._kept: set[str] = set()
        self._expiring = 0
        self._deleted = 0

    def add(self, standing: Standing) -> None:
        """Count a version."""
        version = standing.version
        if standing.fate is Fate.DELETED:
            self._deleted += 1
            return
        checkpoint, states, deltas = checkpoint_of(version), version.states, version.deltas
        self._checkpoints |= checkpoint
        self._states |= states
        self._deltas |= deltas
        if standing.because:
            self._kept.update(checkpoint, states, deltas)
        else:
            self._expiring += 1

    def total(self, at: datetime) -> Storage:
        """What was counted."""
        everything = self._checkpoints | self._states | self._deltas
        freed = sum(nbytes for key, nbytes in everything.items() if key not in self._kept)
        return Storage(
            counted_at=at,
            checkpoints=_amount(self._checkpoints),
            states=_amount(self._states),
            deltas=_amount(self._deltas),
            expiring=Amount(self._expiring, freed),
            deleted=self._deleted,
        )


def checkpoint_of(version: Names) -> dict[str, int]:
    """The key of a version's checkpoint, and its bytes."""
    return {keys.CHECKPOINT.key(sha256=version.checkpoint.sha256): version.checkpoint.nbytes}


def _amount(files: Mapping[str, int]) -> Amount:
    return Amount(len(files), sum(files.values()))
