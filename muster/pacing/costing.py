"""What a model of a size would cost in a month, before there is one (pure).

rounds        participants and judges, their bytes, the sum            (muster.pricing.profile)
devices       heartbeats, and check-ins of those who wait              (muster.pacing.planning)
the stack     what is billed for being there, the tick, the monitor    (muster.pricing.standing)
versions      a month of what each round's version keeps, at the end of the first month
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muster.pacing.intervals import MONTH_SECONDS, PaceRules
from muster.pacing.planning import FleetPlan, RequestLoad, Rounds
from muster.pacing.planning import plan as paces
from muster.pricing import standing
from muster.pricing.profile import of_round
from muster.pricing.usage import GB, Usage, bill, dollars, times, usage

ROUNDS, DEVICES = "rounds", "devices that live and wait"
"""The two causes that a size changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What is planned."""

    clients: int
    model_bytes: float
    places: float
    """Of a round: those who take part in it."""
    updates: float
    """Of a round: those that come."""
    judges: float
    report_seconds: float
    every_seconds: float
    """From one opening to the next; 0: one follows another."""
    downloads: float = 1.0
    """The share of a checkpoint that a device downloads: with deltas, less than all of it."""
    keep_versions: int | None = None
    """How many are kept; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPlan:
    """A month of it."""

    rounds: float
    """In a month."""
    round_dollars: float
    """Of one."""
    round_by_service: Mapping[str, float]
    fleet: FleetPlan
    by_cause: Mapping[str, float]
    """Dollars a month."""

    @property
    def dollars(self) -> float:
        """All of it."""
        return sum(self.by_cause.values())


def plan(size: Size, rules: PaceRules) -> CostPlan:
    """What a month costs, in dollars, without free tiers."""
    rounds = Rounds(
        places=size.places, judges=size.judges, report_seconds=size.report_seconds, every_seconds=size.every_seconds
    )
    fleet = paces(rules, size.clients, rounds)
    count = MONTH_SECONDS / rounds.apart_seconds
    one = of_round(participants=size.updates, judges=size.judges, model_bytes=size.model_bytes, downloads=size.downloads)
    waiting = max(0.0, fleet.in_training.dollars_per_month - _requests_of(rounds))
    kept = min(count, size.keep_versions or count) / 2  # they come one by one, in the course of the month
    return CostPlan(
        rounds=count,
        round_dollars=dollars(one),
        round_by_service=bill(one),
        fleet=fleet,
        by_cause={
            ROUNDS: dollars(times(one, count)),
            DEVICES: waiting,
            "versions": dollars(usage(s3_gb_months=kept * size.model_bytes / GB)),
            **{what: dollars(used) for what, used in _stack(size.clients).items()},
        },
    )


def _requests_of(rounds: Rounds) -> float:
    """Dollars that the pace's plan has for the requests of those who have a place, which are in the rounds already."""
    return RequestLoad(per_second=rounds.requests / rounds.apart_seconds).dollars_per_month


def _stack(clients: int) -> Mapping[str, Usage]:
    return {**standing.there(alarms=standing.ALARMS, keys=1), **standing.schedules(clients)}
