"""What the server knows of a fleet's size, and when: counted by the census, and remembered by the API's functions."""

from __future__ import annotations

from datetime import datetime

from bench.fleet.rounds import instant
from bench.fleet.vectors import Numbers
from chalicelib.clients.pacing import TIMEOUT
from chalicelib.clients.segments import period
from muster.pacing.intervals import PaceRules, intervals

CENSUS_SECONDS = 300.0
"""`MUSTER_CENSUS_SECONDS`: the shortest period of a count, and for how long a function remembers it."""


class SimulatedCensus:
    """Counts the whole fleet at once, at the end of each period, and all functions hear of it as late as they may."""

    def __init__(self, rules: PaceRules, clients: int, active: int) -> None:
        self._rules = rules
        self._counted = self.clients, self.active = clients, active
        """As the functions know it: who is enrolled, and who lives."""
        self._count_at = self._told_at = instant(0.0) - period(clients, CENSUS_SECONDS) * 100

    def look(self, now: float, enrolled_at: Numbers, seen_at: Numbers) -> None:
        """Count, if it is time, and let the functions read what was counted, if they do so now."""
        at: datetime = instant(now)
        if (at - self._told_at).total_seconds() >= CENSUS_SECONDS:
            self._told_at = at
            self.clients, self.active = self._counted
        if at - self._count_at >= period(self._counted[0], CENSUS_SECONDS):
            self._count_at = at
            enrolled = enrolled_at <= now
            timeout = TIMEOUT * intervals(self._rules, self._counted[0]).heartbeat_seconds
            self._counted = int(enrolled.sum()), int((enrolled & (seen_at >= now - timeout)).sum())
