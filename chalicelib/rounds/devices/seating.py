"""Finds a place for a client in a round, in any of its parts.

A part that was found full is believed to be so for as long as anything is remembered: a fleet that keeps asking for places that
are gone then costs no writes. So a client that is told that the round is full may come again, and is tried elsewhere.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from chalicelib.recent import Recent
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.counters import Place, PlaceKind, share
from chalicelib.rounds.round import Round

TRIES = 2
"""Parts that one check-in asks for a place."""


class RoundMoved(Exception):
    """The round is in another phase than the one that was remembered."""


class Seating:
    """Gives out places, from parts in no particular order."""

    def __init__(self, counters: CounterStore, memory_seconds: float) -> None:
        self._counters = counters
        self._life = timedelta(seconds=memory_seconds)
        self._dice = random.Random()  # noqa: S311 (which part is tried first is no secret)
        self._full: Recent[tuple[str, PlaceKind, int], tuple[datetime, int]] = Recent()

    def take(self, rnd: Round, kind: PlaceKind, places: int, now: datetime) -> Place | None:
        """Take one of so many places if there is one left.

        Raises:
            RoundMoved: the round gives no such places any more.
        """
        shares = {part: share(places, part, rnd.parts) for part in range(rnd.parts)}
        left = [part for part, most in shares.items() if most and not self._is_full(rnd, kind, part, most, now)]
        for part in self._dice.sample(left, min(TRIES, len(left))):
            taken = self._counters.take(rnd, kind, part, shares[part], now)
            if taken == "closed":
                raise RoundMoved
            if taken != "full":
                return taken
            self._full.put((str(rnd.id), kind, part), (now, shares[part]))
        return None

    def give_back(self, rnd: Round, place: Place) -> None:
        """Give back a place that a client took though it had one."""
        self._counters.give_back(rnd, place)

    def _is_full(self, rnd: Round, kind: PlaceKind, part: int, most: int, now: datetime) -> bool:
        found = self._full.get((str(rnd.id), kind, part))
        return found is not None and now - found[0] < self._life and most <= found[1]
