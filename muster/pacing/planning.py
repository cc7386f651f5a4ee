"""What a fleet of a size asks for and costs (pure). Dollars are those of requests alone, as bench/cost has them."""

from __future__ import annotations

from dataclasses import dataclass

from muster.pacing.intervals import MONTH_SECONDS, Intervals, PaceRules, RoundNeed, intervals, serves

REQUEST_DOLLARS = 5.2e-6
"""Of one heartbeat, or of one check-in that is answered with a wait: API Gateway, Lambda, DynamoDB, logs and traces together
(`make bench-cost`, heartbeats / requests)."""

REQUESTS_OF_A_PLACE = 3
"""Of who has one: check-in, grant, report; of a judge: check-in, and two measurements."""

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a model trains, as far as its requests depend on that."""

    places: float
    judges: float = 0.0
    report_seconds: float = 600.0
    every_seconds: float = 0.0
    """From one opening to the next at the least; 0: one follows another."""

    @property
    def apart_seconds(self) -> float:
        """From one opening to the next, where each round takes all of its time."""
        return max(self.every_seconds, self.report_seconds, 1.0)

    @property
    def requests(self) -> float:
        """Of all who have a place in a round."""
        return REQUESTS_OF_A_PLACE * (self.places + self.judges)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLoad:
    """What devices ask for."""

    per_second: float

    @property
    def per_month(self) -> float:
        """Requests in 730 hours."""
        return self.per_second * MONTH_SECONDS

    @property
    def dollars_per_month(self) -> float:
        """What those cost."""
        return self.per_month * REQUEST_DOLLARS

    def per_day_of_each(self, clients: float) -> float:
        """Requests of one of so many clients in a day."""
        return self.per_second * DAY_SECONDS / clients if clients > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """A fleet at rest, and in training."""

    clients: float
    idle: Intervals
    resting: RequestLoad
    training: Intervals
    in_training: RequestLoad
    serves: bool
    """Whether the bounds serve it."""


def plan(rules: PaceRules, clients: float, rounds: Rounds) -> FleetPlan:
    """What a fleet asks for, all of which waits for the rounds of one model."""
    idle = intervals(rules, clients)
    need = RoundNeed(waiting=clients, places=rounds.places, seconds=rounds.report_seconds)
    training = intervals(rules, clients, need)
    return FleetPlan(
        clients=clients,
        idle=idle,
        resting=beating(clients, idle),
        training=training,
        in_training=in_rounds(clients, training, rounds),
        serves=serves(rules, clients),
    )


def beating(clients: float, paces: Intervals) -> RequestLoad:
    """The heartbeats of so many clients."""
    return RequestLoad(per_second=max(clients, 0.0) / paces.heartbeat_seconds)


def in_rounds(clients: float, paces: Intervals, rounds: Rounds) -> RequestLoad:
    """What so many clients ask for that wait for rounds: heartbeats, check-ins, and the work of those who have a place. Between
    the end of a round and the next opening nobody asks.
    """
    asking = min(1.0, rounds.report_seconds / rounds.apart_seconds)
    waiting = max(clients, 0.0) * max(asking / paces.waiting_seconds, 1.0 / max(rounds.apart_seconds, paces.waiting_seconds))
    taking_part = min(rounds.requests, REQUESTS_OF_A_PLACE * max(clients, 0.0) * 2) / rounds.apart_seconds
    return RequestLoad(per_second=beating(clients, paces).per_second + waiting + taking_part)
