"""`python -m bench.fleet`: count calls, places and looks, write `build/bench/fleet.json` and a picture, print tables.

It fails, and says why, when something does not hold: a call that costs more where more clients are stored, fewer than 5,000
clients a second admitted to a large round, looks that cost more than in proportion, or a quota that a million clients break.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from bench.cost import savings, scale
from bench.fleet import calls, looks, pages, places
from bench.fleet.calls import CallCost
from bench.fleet.looks import LookCost
from bench.fleet.places import Admissions, Most

FILE = Path(__file__).parent.parent.parent / "build/bench/fleet.json"
PICTURE = FILE.with_suffix(".png")

GOALS = (1_000, 10_000, 100_000)
USES = 10**6
"""Of the token by which devices enrol."""

SAMPLE = 6_000
"""Clients of a round, at the most, that come."""

LARGE, LEAST = 13_000, 5_000
"""Rounds of so many places admit at least so many clients a second."""

BY_DEVICES = ("check-in", "grant", "report")
"""Steps that come when devices like; inspections wait in a queue."""

MOST_TIMES = 11.0
"""So much more may the looks of a round of ten times as many receipts cost."""

EDGE = 20
"""Batches of inspections that end at the goal's edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """All that was counted."""

    calls: dict[int, dict[str, CallCost]]
    places: list[Admissions]
    alone: list[Most]
    looks: list[LookCost]
    aggregations: int


def main() -> int:
    """Count, write, print, and hold it against what must hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--clients", type=int, nargs=2, default=[1_000, 100_000], help="stored clients (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="clients of a round that come (default: %(default)s)")
    parser.add_argument(
        "--receipts", type=int, nargs=2, default=[1_000, 10_000], help="of rounds looked at (default: %(default)s)"
    )
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="IAMAuthorizer is not a supported")
    started = time.monotonic()
    found = count(asked.clients, GOALS, asked.sample, asked.receipts)
    broken = list(breaches(found))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(_told(found, broken, time.monotonic() - started), indent=2) + "\n")
    pages.picture(found.places, PICTURE)
    for part in (pages.calls(found.calls), pages.places(found.places), pages.alone(found.alone), pages.looks(found.looks)):
        print(part, end="\n\n")
    print(f"{EDGE} inspections at the goal's edge caused {found.aggregations} aggregation(s)")
    print(scale.table(), scale.paces(), savings.table(), sep="\n\n")
    print(*(f"does not hold: {what}" for what in broken), sep="\n")
    return 1 if broken else 0


def count(clients: list[int], goals: tuple[int, ...], sample: int, receipts: list[int]) -> Counted:
    """All of it, at these sizes."""
    return Counted(
        calls={size: calls.costs(size) for size in clients},
        places=[places.admissions(goal, sample) for goal in goals],
        alone=[places.enrolments(USES, sample), places.heartbeats(sample)],
        looks=[looks.looks(size) for size in receipts],
        aggregations=looks.aggregations_at_the_edge(EDGE),
    )


def breaches(found: Counted) -> Iterator[str]:
    """What does not hold."""
    few, many = sorted(found.calls)
    for call in calls.unlike(found.calls[few], found.calls[many]):
        yield f"{call} costs the same at {few:,} and {many:,} clients: {found.calls[few][call]}, {found.calls[many][call]}"
    for one in found.places:
        for step, most in one.steps.items():
            if one.places >= LARGE and step in BY_DEVICES and most.a_second < LEAST:
                found_most = f"{most.a_second:,.0f} ({most.partition})"
                yield f"a round of {one.places:,} places takes {LEAST:,} {step}s a second: {found_most}"
    smaller, larger = found.looks
    for name in ("requests", "read_units", "write_units", "cpu_seconds"):
        times = getattr(larger, name) / getattr(smaller, name) / (larger.receipts / smaller.receipts) * 10
        if times > MOST_TIMES:
            yield f"looks cost in proportion: of ten times as many receipts {times:.1f} times as many {name}"
    if found.aggregations != 1:
        yield f"{EDGE} inspections at the goal's edge cause one aggregation: {found.aggregations}"
    for fleet in scale.FLEETS:
        for demand in scale.demands(fleet):
            waived = fleet.clients > 10**6 and demand.may_be_raised
            if demand.share > 1 and not waived:
                yield f"{fleet}: {demand.quota}: {demand.asked:,.0f} of {demand.allowed:,.0f}"


def _told(found: Counted, broken: list[str], seconds: float) -> dict[str, Any]:
    return {
        **asdict(found),
        "quotas": {str(fleet): [asdict(demand) for demand in scale.demands(fleet)] for fleet in scale.FLEETS},
        "savings": [asdict(one) for one in savings.savings()],
        "broken": broken,
        "seconds": seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
