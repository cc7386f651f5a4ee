"""Counting clients (pure): a tally of some of them, and the sum of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.clients.client import ClientState, Described
from chalicelib.clients.cohort import Cohort, belongs
from chalicelib.instants import Instant, text

MOST_NAMES = 64
"""Names of each kind that a tally has: device types, releases, models. What is rarer is counted as `other`, so that no hostile
fleet can make it longer.
"""


FIRST, LAST = "", "~"
"""Before and after the ids of all clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One segment of a shard of the fleet, as its rows had it at `counted_at`."""

    shard: int
    counted_at: Instant
    begins: str = FIRST
    """The id at which it begins; that client is in it."""
    ends: str = LAST
    """The id at which it ends; that client is in the next one."""
    ttl: int | None = None
    """Of one that was joined with the one before it: when nobody needs its key any more."""
    clients: int = 0
    active: int = 0
    revoked: int = 0
    by_device_type: dict[str, int] = field(default_factory=dict)
    by_sdk_version: dict[str, int] = field(default_factory=dict)
    by_model: dict[str, int] = field(default_factory=dict)
    """Enrolled, and not revoked, by the model that they last said they run; those that never said one are in none."""
    active_by_model: dict[str, int] = field(default_factory=dict)
    active_by_cohort: dict[str, int] = field(default_factory=dict)
    """By `<name>.<revision>`."""
    rounds: int = 0
    samples: int = 0
    unreadable: int = 0
    """Rows that could not be counted."""

    @property
    def size(self) -> int:
        """How many rows were read for it."""
        return self.clients + self.revoked + self.unreadable

    @property
    def is_empty(self) -> bool:
        """Whether no id could be in it."""
        return self.ends <= self.begins


_STATES = tuple(ClientState)


def is_countable(row: Mapping[str, Any]) -> bool:
    """Whether a row has what is counted of a client."""
    numbers = all(isinstance(row.get(name), int) for name in ("rounds", "samples"))
    texts = all(isinstance(row.get(name, ""), str) for name in ("device_type", "last_seen_at", "model", "sdk_version"))
    return numbers and texts and row.get("state") in _STATES and "device_type" in row and "last_seen_at" in row


def count(
    shard: int,
    rows: Iterable[Mapping[str, Any]],
    now: datetime,
    heartbeat_timeout_seconds: float,
    cohorts: Collection[Cohort] = (),
) -> Tally:
    """The tally of some clients of a shard at `now`, from their rows (those attributes that are counted)."""
    oldest_beat = text(now - timedelta(seconds=heartbeat_timeout_seconds))
    clients = active = revoked = rounds = samples = unreadable = 0
    types: Counter[str] = Counter()
    releases: Counter[str] = Counter()
    models: Counter[str] = Counter()
    enrolled: Counter[str] = Counter()
    members = dict.fromkeys((cohort.tag for cohort in cohorts), 0)
    for row in rows:
        if not is_countable(row):
            unreadable += 1
            continue
        rounds += row["rounds"]
        samples += row["samples"]
        if row["state"] != ClientState.ACTIVE:
            revoked += 1
            continue
        clients += 1
        types[row["device_type"]] += 1
        if row.get("sdk_version"):
            releases[row["sdk_version"]] += 1
        if "model" in row:
            enrolled[row["model"]] += 1
        if row["last_seen_at"] >= oldest_beat:
            active += 1
            if "model" in row:
                models[row["model"]] += 1
            described = Described.of_row(row) if cohorts else None
            for cohort in cohorts:
                members[cohort.tag] += described is not None and belongs(cohort.rule, described)
    return Tally(
        shard=shard,
        counted_at=now,
        clients=clients,
        active=active,
        revoked=revoked,
        by_device_type=_commonest(types),
        by_sdk_version=_commonest(releases),
        by_model=_commonest(enrolled),
        active_by_model=_commonest(models),
        active_by_cohort=members,
        rounds=rounds,
        samples=samples,
        unreadable=unreadable,
    )


def total(tallies: Iterable[Tally]) -> Tally | None:
    """The sum of tallies, as old as the oldest of them; None of none."""
    everyone = sorted(tallies, key=lambda tally: (tally.shard, tally.begins))
    if not everyone:
        return None
    return Tally(
        shard=-1,
        counted_at=min(tally.counted_at for tally in everyone),
        clients=sum(tally.clients for tally in everyone),
        active=sum(tally.active for tally in everyone),
        revoked=sum(tally.revoked for tally in everyone),
        by_device_type=_commonest(_sum(tally.by_device_type for tally in everyone)),
        by_sdk_version=_commonest(_sum(tally.by_sdk_version for tally in everyone)),
        by_model=_commonest(_sum(tally.by_model for tally in everyone)),
        active_by_model=_commonest(_sum(tally.active_by_model for tally in everyone)),
        active_by_cohort=_in_each(everyone),
        rounds=sum(tally.rounds for tally in everyone),
        samples=sum(tally.samples for tally in everyone),
        unreadable=sum(tally.unreadable for tally in everyone),
    )


def _in_each(tallies: Sequence[Tally]) -> dict[str, int]:
    """The sizes of the cohorts that all have counted: part of a cohort would be no size."""
    whole = set.intersection(*(set(tally.active_by_cohort) for tally in tallies))
    return {tag: sum(tally.active_by_cohort[tag] for tally in tallies) for tag in sorted(whole)}


def _sum(maps: Iterable[Mapping[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in maps:
        found.update(one)
    return found


def _commonest(counts: Counter[str]) -> dict[str, int]:
    other = counts.pop("other", 0)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = other + sum(number for _, number in ranked[MOST_NAMES:])
    return dict(sorted(ranked[:MOST_NAMES])) | ({"other": rest} if rest else {})
