"""Finds a place for a client in a round, in any of its parts.

A part that was found full is believed to be so for as long as anything is remembered: a fleet that keeps asking for places that
are gone then costs no writes. The others are tried beginning with the one that had most places left when it was last tried, so
that the last places are found as well. A client that is told that the round is full may come again, and is tried elsewhere.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from chalicelib.clients.shares import share
from chalicelib.recent import Recent
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.counters import Place, PlaceKind
from chalicelib.rounds.round import Round

TRIES = 2
"""Parts that one check-in asks for a place."""


class RoundMoved(Exception):
    """The round is in another phase than the one that was remembered."""


class Seating:
    """Gives out places, in no particular order of parts as long as nothing is known of them."""

    def __init__(self, counters: CounterStore, memory_seconds: float) -> None:
        self._counters = counters
        self._life = timedelta(seconds=memory_seconds)
        self._dice = random.Random()  # noqa: S311 (which part is tried first is no secret)
        self._taken: Recent[tuple[str, PlaceKind, int], int] = Recent()
        self._full: Recent[tuple[str, PlaceKind, int], tuple[datetime, int]] = Recent()

    def take(self, rnd: Round, kind: PlaceKind, places: int, now: datetime) -> Place | None:
        """Take one of so many places if there is one left.

        Raises:
            RoundMoved: the round gives no such places any more.
        """
        left: list[tuple[int, float, int, int]] = []
        for part in range(rnd.parts):
            most, name = share(places, rnd.parts, part), (str(rnd.id), kind, part)
            if most and not self._is_full(name, most, now):
                left.append(((self._taken.get(name) or 0) - most, self._dice.random(), part, most))
        for _, _, part, most in sorted(left)[:TRIES]:
            name, place = (str(rnd.id), kind, part), self._counters.take(rnd, kind, part, most, now)
            if place == "closed":
                raise RoundMoved
            if place != "full":
                self._taken.put(name, place.counted)
                return place
            self._taken.put(name, most)
            self._full.put(name, (now, most))
        return None

    def give_back(self, rnd: Round, place: Place) -> None:
        """Give back a place that a client took though it had one."""
        self._counters.give_back(rnd, place)

    def _is_full(self, name: tuple[str, PlaceKind, int], most: int, now: datetime) -> bool:
        found = self._full.get(name)
        return found is not None and now - found[0] < self._life and most <= found[1]
