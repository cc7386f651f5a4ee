"""How a shard of clients is cut into segments, each of which is counted by itself (pure).

    shard 03    ""───────────thermostat-4────────────thermostat-7k───────────"~"
                   tally#03   tally#03#thermostat-4   tally#03#thermostat-7k      from where, to where, how many

A segment has the clients from the id `begins` up to, and without, the id `ends`. The rows of a shard are a **chain**: each ends
where the next one begins. What no row covers was never counted; what a row covers that reaches into another one's was counted
there already. So whatever rows are there, every client is in one segment, and no client is in two.

A segment is cut where it was counted, when it has grown, and joined with the next one, when both are small. Such a change is
one transaction of the rows that it concerns, each of which must be as it was seen. What was joined leaves a row for a while: a
segment from an id to the same id, which has nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, groupby, islice
from typing import Any

from chalicelib.clients.tally import FIRST, LAST, Tally, total

ROWS_A_SECOND = 1_000
"""Rows that a census reads at the most, on average: a million clients are counted every 17 minutes, a hundred million every 28
hours."""

KEPT = timedelta(days=1)
"""How long the key of a joined segment is kept; whoever counted it meanwhile has long given up."""

MOST_PARTS = 90
"""Into which one count may cut a segment: a transaction takes 100 rows."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusLimits:
    """Rows of clients."""

    grown: int = 100_000
    """A segment of more is cut."""
    part: int = 50_000
    """What it is cut into."""
    few: int = 25_000
    """A segment of fewer is joined with the next one, if both together are no more than a part."""
    at_once: int = 200_000
    """How many are counted at once of what was never counted, which may be any number. The rest is left to others."""
    own: int = 200_000
    """How many the monitor counts itself in one run; with a run a minute, three times what `ROWS_A_SECOND` asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The clients of a shard from one id up to another, which is not in it."""

    shard: int
    begins: str
    ends: str
    tally: Tally | None
    """As it was last counted; None: never."""

    def is_due(self, now: datetime, life: timedelta) -> bool:
        """Whether it is to be counted again."""
        return self.tally is None or now - self.tally.counted_at >= life

    def is_late(self, now: datetime, life: timedelta) -> bool:
        """Whether it waits for a whole period already: so much is there to do that others should help."""
        return self.is_due(now, 2 * life)


@dataclass(frozen=True, slots=True)
class TallyChange:
    """A row of the chain as it is to be, in the place of what was seen there."""

    was: Tally | None
    now: Tally


def period(clients: int, shortest_seconds: float) -> timedelta:
    """How old a count may become, in a fleet that has so many rows of clients."""
    return timedelta(seconds=max(shortest_seconds, clients / ROWS_A_SECOND))


def segments(rows: Iterable[Tally], shards: int) -> list[Segment]:
    """The segments of all shards, in their order, from the rows that are there."""
    by_shard = {
        number: list(group)
        for number, group in groupby(sorted(rows, key=lambda row: (row.shard, row.begins)), key=lambda row: row.shard)
    }
    return [segment for number in range(shards) for segment in _chain(number, by_shard.get(number, []))]


def sum_of(found: Iterable[Segment]) -> Tally | None:
    """All that was counted of them; None of none."""
    return total(segment.tally for segment in found if segment.tally)


def is_whole(found: Iterable[Segment]) -> bool:
    """Whether all of them were counted."""
    return all(segment.tally for segment in found)


def is_torn(rows: Collection[Tally], found: Iterable[Segment]) -> bool:
    """Whether a shard has rows that do not make a chain. Perhaps somebody was just changing it: then the next reading does."""
    begun = {row.shard for row in rows}
    there = [segment.tally for segment in found if segment.shard in begun]
    return None in there or len(there) < sum(not row.is_empty for row in rows)


def counted(
    segment: Segment, rows: Iterator[Row], limits: CensusLimits, count: Callable[[Iterable[Row]], Tally]
) -> list[Tally]:
    """The tallies of a segment, which has these rows, in their order: one, or several if it has grown.

    They cover the segment. Only of one that was never counted they cover the first part, if the rest is too long.
    """
    parts: list[Tally] = []
    begins, size, ahead = segment.begins, 0, next(rows, None)
    while ahead is not None or not parts:
        of_part = () if ahead is None else chain([ahead], islice(rows, limits.part - 1))
        part = count(of_part)
        ahead, size = next(rows, None), size + part.size
        ends = segment.ends if ahead is None else id_of(ahead)
        parts.append(replace(part, shard=segment.shard, begins=begins, ends=ends))
        begins = ends
        if segment.tally is None and size >= limits.at_once:
            break
    return _cut(parts, limits)


def joined(one: Tally, following: Segment | None, limits: CensusLimits) -> Tally | None:
    """A small segment and the next one together, if both are small; else None."""
    if following is None or following.tally is None or one.ends != following.begins:
        return None
    few = one.size < limits.few and one.size + following.tally.size <= limits.part
    return _together([one, following.tally]) if few else None


def emptied(tally: Tally, now: datetime) -> Tally:
    """What is left of a segment that was joined with the one before it."""
    until = int((now + KEPT).timestamp())
    return Tally(shard=tally.shard, begins=tally.begins, ends=tally.begins, counted_at=now, ttl=until)


def id_of(row: Row) -> str:
    """The client's id, from the key of its row."""
    return str(row["sk"]).partition("#")[2]


def _chain(shard: int, rows: Iterable[Tally]) -> Iterator[Segment]:
    reached = FIRST
    for row in rows:
        if row.is_empty or row.begins < reached:
            continue
        if row.begins > reached:
            yield Segment(shard=shard, begins=reached, ends=row.begins, tally=None)
        yield Segment(shard=shard, begins=row.begins, ends=row.ends, tally=row)
        reached = row.ends
    if reached < LAST:
        yield Segment(shard=shard, begins=reached, ends=LAST, tally=None)


def _cut(parts: list[Tally], limits: CensusLimits) -> list[Tally]:
    if sum(part.size for part in parts) <= limits.grown:
        return [_together(parts)]
    if parts[-1].size < limits.few:
        parts = [*parts[:-2], _together(parts[-2:])]
    while len(parts) > MOST_PARTS:
        parts = [_together(parts[at : at + 2]) for at in range(0, len(parts), 2)]
    return parts


def _together(parts: list[Tally]) -> Tally:
    """Adjacent tallies as one."""
    whole = total(parts) or parts[0]
    return replace(whole, shard=parts[0].shard, begins=parts[0].begins, ends=parts[-1].ends)
