"""A round's counters: how many places were given, how many updates were inspected (pure). `counter_store` has their rows.

One row takes 1,000 writes a second, whatever it costs, so a round of many places has many such rows, its parts, each with its
share of the places and a partition of its own. The shares add up to the places exactly, so never are more places taken than
there are. A client takes a place in any part that has one left, and its receipt says in which.

All are hints, which are never too low: a repeat may count a place twice, and a check-in that dies may count one that nobody
has. Receipts are what is true; whoever reads them all sets the hints right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from chalicelib.instants import Instant
from chalicelib.rounds.round import judges_of, places_of
from chalicelib.rounds.round_id import RoundName
from muster.wire.admin import RoundConfig

PLACES_A_PART, MOST_PARTS = 128, 64
"""Places of a round for which it has another partition, and how many it has at the most. A partition takes 1,000 write units a
second, and a client writes six into it: the places of one part are taken in a second, and 64 parts admit 10,000 clients in one.
"""

PlaceKind = Literal["admitted", "judges"]
"""The two kinds of places, named as the fields that count them."""

CHECK_IN = timedelta(seconds=60)
"""Twice as long as a check-in can run (the API's function has 29 s). A place that was taken before has its row by now, or never
gets one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """One part's row."""

    round: RoundName
    part: int
    ttl: int
    admitted: int = 0
    """Places given to train."""
    judges: int = 0
    """Places given to judge."""
    inspected: int = 0
    """Receipts settled by inspection, of clients of all parts; counted in the first one."""
    place_mark: str | None = None
    """What whoever took or gave back the last place, of either kind, wrote there: unique, so that its owner is known."""
    place_taken_at: Instant | None = None
    closed: set[str] = field(default_factory=set)
    """Kinds of places of which no more are given, because the round's phase has ended."""

    def counted(self, kind: PlaceKind) -> int:
        """Places given of a kind."""
        return self.admitted if kind == "admitted" else self.judges


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that was taken: its part, the part's hint with it counted, and the mark that only this taking left there."""

    kind: PlaceKind
    part: int
    counted: int
    mark: str


def parts_for(config: RoundConfig) -> int:
    """Over how many partitions the rows of a round are spread, by the places that it may give out (`counters` says why)."""
    places = max(places_of(config), judges_of(config))
    return min(MOST_PARTS, math.ceil(places / PLACES_A_PART))


def places_gone(places: int, held: int, given_up: int) -> int:
    """How many of so many places nobody can have any more: those that are held; and, of those that were given up, the ones
    beyond as many as there are places.

    So each place is given twice at the most, on average: what fails on every device, a hyperparameter that none knows, does
    not go through the whole fleet in one round.
    """
    return max(held, held + given_up - places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the receipts, or the judges' places, of one part say."""

    held: int = 0
    given_up: int = 0


def corrected(counters: Counters, kind: PlaceKind, said: Held, *, places: int, turns_away: int, now: datetime) -> int | None:
    """What a part's hint should be set to, or None to leave it.

    `places` is the part's share, `turns_away` the count from which on it turns clients away: a hint that is too high is
    lowered only there, and only when no check-in is under way any more that could still use a place. One that is too low (a
    backup has no counters) is raised at once.
    """
    counted, gone = counters.counted(kind), min(places, places_gone(places, said.held, said.given_up))
    if counted < gone:
        return gone
    quiet = counters.place_taken_at is None or now - counters.place_taken_at >= CHECK_IN
    return gone if counted > gone and counted >= turns_away and quiet else None
