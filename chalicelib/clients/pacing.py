"""When devices come again: the rules of `muster.pacing`, with the fleet's size and the operator's bounds as last read.

Both are read once in the census' period, so an answer costs no read of its own. What is remembered may be as old: a fleet that
has grown since is told an interval of before, for that long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.clients.bounds import PaceBounds
from chalicelib.clients.segments import segments, sum_of
from chalicelib.clients.store import ClientStore
from chalicelib.clients.tally import Tally
from chalicelib.clients.tally_store import TallyStore
from chalicelib.instants import Clock
from chalicelib.storage import keys
from muster.pacing.intervals import Intervals, PaceRules, RoundNeed, intervals
from muster.pacing.waits import WaitReason, spread, wait

TIMEOUT = 2
"""So many intervals after its last heartbeat a client is gone. The longest wait is one and a half, stretched by a quarter by
devices that do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What an answer is computed from."""

    counted: Tally | None
    """The fleet; None before the first count."""
    rules: PaceRules
    bounds: PaceBounds | None
    """None as long as no operator has set them."""

    @property
    def clients(self) -> int:
        """Enrolled clients, also those that were not heard of for long: all of them may come back."""
        return self.counted.clients if self.counted else 0

    def active(self, model: str, cohort: str | None = None) -> int:
        """Clients of a model that live; of those in a cohort (`<name>.<revision>`), as many as there may be."""
        if self.counted is None:
            return 0
        active = self.counted.active_by_model.get(model, 0)
        members = None if cohort is None else self.counted.active_by_cohort.get(cohort)
        return active if members is None else min(active, members)


class Pacing:
    """Says when devices come again. `draw` draws from 0 (included) to 1 (excluded)."""

    def __init__(
        self,
        *,
        store: ClientStore,
        tallies: TallyStore,
        clock: Clock,
        draw: Callable[[], float],
        rules: PaceRules,
        timeout_seconds: float | None,
        memory_seconds: float,
    ) -> None:
        """`rules` are those of the settings; `timeout_seconds` is the shortest after which a client may count as gone."""
        self._store = store
        self._tallies = tallies
        self._clock = clock
        self._draw = draw
        self._rules = rules
        self._timeout = timeout_seconds
        self._life = timedelta(seconds=memory_seconds)
        self._known: tuple[datetime, Steering] | None = None

    # ---- what devices are told

    def next_heartbeat(self, need: RoundNeed | None = None, heard_within: float | None = None) -> float:
        """Seconds until a client's next heartbeat; `need` and `heard_within` are those of `intervals`."""
        return spread(self.intervals(need, heard_within).heartbeat_seconds, self._draw())

    def wait(
        self, reason: WaitReason, need: RoundNeed | None, *, turn_seconds: float = 0.0, opens_seconds: float = 0.0
    ) -> float:
        """Seconds until a client that has nothing to do checks in again, as `muster.pacing.waits.wait` has it."""
        now = self._clock().timestamp()
        return wait(
            reason,
            self.intervals(need),
            now=now,
            draw=self._draw(),
            turn_seconds=turn_seconds,
            opens_seconds=opens_seconds,
        )

    # ---- what everybody may know

    def intervals(self, need: RoundNeed | None = None, heard_within: float | None = None) -> Intervals:
        """The intervals of clients now."""
        steering = self.steering()
        return intervals(steering.rules, steering.clients, need, heard_within)

    @property
    def timeout_seconds(self) -> float:
        """After how long without a heartbeat a client is gone, by what is remembered of the fleet."""
        return self.timeout_of(self.steering())

    def timeout_of(self, steering: Steering) -> float:
        """The same of a fleet: twice the longest interval that a client may have been told."""
        longest = self.longest_told(steering)
        return max(TIMEOUT * longest, self._timeout or 0.0)

    def longest_told(self, steering: Steering) -> float:
        """The longest interval between heartbeats by which a client may go, be it one of before the present bounds."""
        longest = _longest(steering)
        return steering.bounds.may_be_told(self._clock(), longest) if steering.bounds is not None else longest

    # ---- the fleet and its bounds

    def steering(self) -> Steering:
        """As remembered."""
        known = self._known
        if known is None or self._clock() - known[0] >= self._life:
            return self.refresh()
        return known[1]

    def refresh(self) -> Steering:
        """As they are now, remembered from now on: two reads."""
        found = self.read()
        self._known = (self._clock(), found)
        return found

    def read(self) -> Steering:
        """As they are now; what devices are told does not change by that."""
        return self.steering_of(sum_of(segments(self._tallies.all(), keys.SHARDS)))

    def steering_of(self, counted: Tally | None) -> Steering:
        """A fleet that was counted, with its bounds as they are now: one read."""
        bounds = self._store.pace()
        rules = self.rules(bounds.ceiling, bounds.budget) if bounds else self._rules
        return Steering(counted=counted, rules=rules, bounds=bounds)

    def rules(self, ceiling: float | None, budget: int | None) -> PaceRules:
        """The settings' rules under other bounds; without a ceiling, under the settings' own."""
        own = self._rules
        return PaceRules(
            tick_seconds=own.tick_seconds,
            heartbeat_seconds=own.heartbeat_seconds,
            ceiling=own.ceiling if ceiling is None else ceiling,
            budget=budget,
        )


def _longest(steering: Steering) -> float:
    """Where a budget binds, check-ins stretch heartbeats too, most those of a fleet that waits for the most urgent rounds."""
    idle = intervals(steering.rules, steering.clients).heartbeat_seconds
    if steering.rules.budget is None:
        return idle
    always = RoundNeed(waiting=steering.clients, places=steering.clients, seconds=0.0)
    return max(idle, intervals(steering.rules, steering.clients, always).heartbeat_seconds)
