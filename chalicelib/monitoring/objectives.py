"""Service objectives: which share of rounds, uploads and clients should be well, and what is left of the rest (pure).

    a round's record    ──▶ rounds, uploads, judges ─┐
    a fleet's record    ──▶ active                   ├─▶ Events, summed by day ─▶ Budget of 30 days
    requests, a day's   ──▶ availability            ─┘

An objective is a target and the events that are held against it, each of which is good or not. Its error budget is what may
fail: (1 - target) of all events of the last 30 days. What counts as good, and what is not counted, is in docs/objectives.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction

from chalicelib.clients.tally import Tally
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.wire.admin import RoundConfig
from muster.wire.reasons import Reason

WINDOW = timedelta(days=30)
"""The present day, and as many before it as make thirty."""

LATELY = timedelta(days=3)
"""The days by which the pace is taken, the present one included."""

KEEP_DAYS = timedelta(days=62)
"""How long a day's row is kept."""

ROUND_SECONDS = 600.0
"""How long a round may take whose own deadlines are shorter."""

LOOKS_SECONDS = 180.0
"""How much later than its last deadline a round may end: three ticks."""

ENOUGH_UPLOADS = 20
"""Of fewer one rejection is more than a twentieth: a bad share of so few says nothing."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What should be well, and how much of it at the least. `what` are its events, as people call them."""

    name: str
    target: Fraction
    what: str


ROUNDS = Objective("rounds", Fraction(95, 100), "rounds")
UPLOADS = Objective("uploads", Fraction(95, 100), "uploads")
ACTIVE = Objective("active", Fraction(80, 100), "clients, as counted")
JUDGES = Objective("judges", Fraction(95, 100), "judged rounds")
AVAILABILITY = Objective("availability", Fraction(999, 1000), "requests")

OF_A_MODEL = (ROUNDS, UPLOADS, ACTIVE, JUDGES)
"""In the order in which they are shown; `AVAILABILITY`, which is the stack's, comes after them."""


@dataclass(frozen=True, slots=True)
class Events:
    """Some events, and how many of them were good."""

    good: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.good <= self.total:
            raise ValueError(f"expected from 0 to {self.total} good events, got {self.good}")

    def __add__(self, other: Events) -> Events:
        return Events(self.good + other.good, self.total + other.total)

    @property
    def failed(self) -> int:
        """Those that were not good."""
        return self.total - self.good

    def reach(self, objective: Objective) -> bool:
        """Whether the good ones among them are as many as the objective wants."""
        return self.good >= objective.target * self.total


NO_EVENTS = Events()
Counts = Mapping[str, Events]
"""By the objective's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveDay:
    """What was counted of a model's objectives in one day of UTC."""

    model: str
    day: date
    ttl: int
    rounds_good: int = 0
    rounds_total: int = 0
    uploads_good: int = 0
    uploads_total: int = 0
    active_good: int = 0
    active_total: int = 0
    judges_good: int = 0
    judges_total: int = 0

    def __post_init__(self) -> None:
        """More good events than there were, or fewer than none: a row that is not one of ours."""
        for objective in OF_A_MODEL:
            self.of(objective)

    def of(self, objective: Objective) -> Events:
        """What was counted of one objective."""
        return Events(getattr(self, f"{objective.name}_good"), getattr(self, f"{objective.name}_total"))


def attributes(counts: Counts) -> dict[str, int]:
    """What is added to a day's row, by attribute."""
    known = {each.name for each in fields(ObjectiveDay)}
    found = {f"{name}_{what}": getattr(events, what) for name, events in counts.items() for what in ("good", "total")}
    if not found.keys() <= known:
        raise AssertionError(f"no day has {', '.join(sorted(found.keys() - known))}")
    return found


# ---- what is counted


def round_limit_seconds(config: RoundConfig) -> float:
    """From a round's opening to its end at the most: ten minutes, or, where that is longer, what its own configuration gives it
    to collect, to look into what came last, and to be judged, and three ticks. The arithmetic is given nothing of its own.
    """
    judging = config.evaluate_seconds if config.evaluators else 0.0
    return max(ROUND_SECONDS, config.report_seconds + config.grace_seconds + judging + LOOKS_SECONDS)


def of_round(rnd: Round) -> dict[str, Events]:
    """What a finalised round counts. One that an operator abandoned says nothing of rounds: it was not to complete."""
    found = {UPLOADS.name: uploads(rnd), JUDGES.name: _judged(rnd)}
    if rnd.finished_at is not None and not rnd.called_off:
        in_time = (rnd.finished_at - rnd.opened_at).total_seconds() <= round_limit_seconds(rnd.config)
        found[ROUNDS.name] = Events(int(rnd.phase is Phase.COMPLETED and in_time), 1)
    return {name: events for name, events in found.items() if events.total}


def uploads(rnd: Round) -> Events:
    """The uploads of a finalised round that were looked into; those are good that passed.

    What passed, but came after the round had enough or was lost with the round, passed all the same. What nobody looked into is
    not counted: most of it never came. Nor is what was rejected because an operator took the client out.
    """
    if rnd.summary is None:
        return NO_EVENTS
    rejected = {reason: count for reason, count in (rnd.summary.rejected or {}).items() if reason != Reason.CLIENT_REVOKED}
    good = rnd.summary.accepted + (rnd.summary.in_order or 0)
    return Events(good, good + sum(rejected.values()))


def judges_missing(rnd: Round) -> int | None:
    """How many judges a completed round asked for and did not get; None where that is not known. Of a fleet that is smaller
    than it asks for, no more can be missing than trained in it: who can train a model can judge one.
    """
    if rnd.phase is not Phase.COMPLETED or rnd.summary is None or rnd.summary.judges is None:
        return None
    return max(0, min(rnd.config.evaluators, rnd.summary.accepted) - rnd.summary.judges)


def _judged(rnd: Round) -> Events:
    missing = judges_missing(rnd) if rnd.config.evaluators else None
    return NO_EVENTS if missing is None else Events(int(not missing), 1)


def active(model: str, fleet: Tally) -> Events:
    """Of the clients that said they run the model, those that are active. None where the count of the one is older than that of
    the other.
    """
    good, total = fleet.active_by_model.get(model, 0), fleet.by_model.get(model, 0)
    return Events(good, total) if good <= total else NO_EVENTS


# ---- budgets


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An objective, the events of the window, and those of the last days."""

    objective: Objective
    seen: Events
    lately: Events = NO_EVENTS

    def _may_fail(self, events: Events) -> Fraction:
        return (1 - self.objective.target) * events.total

    @property
    def used(self) -> Fraction | None:
        """Which share of the budget is used, above 1 of one that is overdrawn; None without events. Where nothing may fail, the
        first failure uses all of it.
        """
        if not self.seen.total:
            return None
        budget = self._may_fail(self.seen)
        return self.seen.failed / budget if budget else Fraction(min(1, self.seen.failed))

    @property
    def left(self) -> Fraction | None:
        """Which share of it is left, from 0 to 1."""
        return None if self.used is None else max(Fraction(0), 1 - self.used)

    @property
    def is_telling(self) -> bool:
        """Whether there were so many events that one may fail; before that, the first failure would burn the budget."""
        return self.seen.total > 0 and (self._may_fail(self.seen) >= 1 or self.objective.target == 1)

    @property
    def is_burned(self) -> bool:
        """Whether nothing is left of a budget that tells something."""
        return self.is_telling and self.left == 0

    def used_up_at(self, now: datetime) -> datetime | None:
        """When it will be used up, if everything goes on as in the last days; None when it is, or will not be in 30 days.

        What the budget gains by each day's events is taken into account, what leaves the window is not.
        """
        left = self._may_fail(self.seen) - self.seen.failed
        more = self.lately.failed - self._may_fail(self.lately)
        if left <= 0 or more <= 0:
            return None
        begun = datetime.combine(first_day(now, LATELY), time(), UTC)
        days = left / more * Fraction((now - begun).total_seconds()) / 86_400
        return now + timedelta(days=float(days)) if days <= WINDOW.days else None

    @property
    def sentence(self) -> str:
        """What failed, and what may."""
        may = float(self._may_fail(self.seen))
        return f"{self.objective.name}: {self.seen.failed} of {self.seen.total} {self.objective.what} failed, {may:g} may"


def day_of(at: datetime) -> date:
    """The day of UTC to which an instant belongs."""
    return at.astimezone(UTC).date()


def first_day(now: datetime, span: timedelta) -> date:
    """The first one of so many days, of which the last one is the present."""
    return day_of(now) - span + timedelta(days=1)


def day(model: str, at: datetime, counts: Counts) -> ObjectiveDay:
    """What one record adds to the day to which it belongs."""
    of, kept = day_of(at), KEEP_DAYS + timedelta(days=1)
    until = datetime.combine(of, time(), UTC) + kept
    return ObjectiveDay(model=model, day=of, ttl=int(until.timestamp()), **attributes(counts))


def budgets(days: Iterable[ObjectiveDay], now: datetime) -> list[Budget]:
    """A model's, from its days in any order; those outside of the window count nothing."""
    rows = list(days)
    return [_budget(each, [(row.day, row.of(each)) for row in rows], now) for each in OF_A_MODEL]


def availability(requests: Mapping[date, Events], now: datetime) -> Budget:
    """The stack's, from its days: how many requests were answered, and how many of them otherwise than by 5xx."""
    return _budget(AVAILABILITY, requests.items(), now)


def answered(answered: int, failed: int) -> Events:
    """A day's requests: those that were answered, and beside them those that were answered by 5xx.

    Raises:
        ValueError: one of them is fewer than none.
    """
    return Events(answered, answered + failed)


def _budget(objective: Objective, days: Iterable[tuple[date, Events]], now: datetime) -> Budget:
    seen = lately = NO_EVENTS
    for of, events in days:
        if first_day(now, WINDOW) <= of <= day_of(now):
            seen += events
            lately += events if of >= first_day(now, LATELY) else NO_EVENTS
    return Budget(objective=objective, seen=seen, lately=lately)
