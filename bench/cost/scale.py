"""What a fleet asks of each quota of AWS, from formulae: the tables of `docs/scale.md`.

`python -m bench.cost.scale` prints them.

Quotas are AWS's defaults for us-east-1 as known on 2026-11-24 ("Service Quotas"; DynamoDB and S3: their developer guides).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from chalicelib.clients.segments import CensusLimits, period
from chalicelib.rounds.counters import MOST_PARTS, PLACES_A_PART, parts_for
from chalicelib.storage.keys import SHARDS
from muster.pacing.planning import REQUEST_DOLLARS
from muster.wire.admin import RoundConfig

CLIENT_BYTES, RECEIPT_BYTES, COUNTER_BYTES = 375, 600, 200
"""Rows, as measured in a round of a model with a short configuration; a test measures them again."""

RECEIPT_UNITS = 1 + 2 + 2 + 1
"""Write units of one participant in its round's partition: assigned, declared, reported, settled. What it declares and what it
reports is written in a transaction, of which a unit counts twice."""

CHECK_UNITS = 2 + 2
"""Write units of one participant's own row: those transactions check it."""

COUNTER_WRITES = 2
"""Of one participant to a row of the round's counters, one unit each: it takes a place, its inspection is noted. Those of a
batch are noted together, so mostly these are fewer."""

API_SECONDS = 0.03
"""Of an API function, in each request."""

INSPECTION_SECONDS = 1.0
"""Of an inspection worker, for an update of up to some 45 MB: it waits for the bytes."""

PAGE_BYTES, PAGE_SECONDS = 1 << 20, 0.05
"""What a query's page holds, and how long one takes (an assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSize:
    """A fleet, its pace, and its rounds."""

    clients: int
    heartbeat_seconds: float = 900.0
    pace_seconds: float = 60.0
    """After how long a device that waits asks again (`MUSTER_TICK_SECONDS`)."""
    goal: int = 1000
    over_selection: float = 1.3
    window_seconds: float = 60.0
    """In which the participants of a round come: about one pace, where all devices are waiting for it."""
    update_bytes: int = 1_400_000
    census_seconds: float = 300.0
    """The shortest period of the census (`MUSTER_CENSUS_SECONDS`)."""

    @property
    def census_period(self) -> float:
        """After how many seconds a client is counted again."""
        return period(self.clients, self.census_seconds) / timedelta(seconds=1)

    @property
    def places(self) -> int:
        """Participants of a round."""
        return math.ceil(self.goal * self.over_selection)

    @property
    def parts(self) -> int:
        """Partitions over which a round's rows are spread."""
        return parts_for(RoundConfig(goal=self.goal, quorum=1, over_selection=self.over_selection, evaluators=0))


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one quota, in the quota's unit."""

    quota: str
    allowed: float
    asked: float

    @property
    def share(self) -> float:
        """Of what is allowed; above 1 it breaks."""
        return self.asked / self.allowed


def demands(fleet: FleetSize) -> list[Demand]:
    """Every quota that a fleet could reach."""
    beats, polls = fleet.clients / fleet.heartbeat_seconds, fleet.clients / fleet.pace_seconds
    joins = fleet.places / fleet.window_seconds
    requests = beats + polls + 3 * joins
    written = beats + polls + (1 + CHECK_UNITS) * joins  # a heartbeat, a check-in; grant and report check the client
    limits = CensusLimits()
    segment_bytes = min(fleet.clients / SHARDS, limits.grown) * CLIENT_BYTES
    receipt_bytes = fleet.places * RECEIPT_BYTES
    count_seconds = _pages(segment_bytes) * PAGE_SECONDS
    return [
        Demand("API Gateway: requests/s", 10_000, requests),
        Demand("Lambda: concurrent executions", 1000, requests * API_SECONDS + joins * INSPECTION_SECONDS),
        Demand("DynamoDB: write units/s of a shard of clients", 1000, written / SHARDS),
        Demand("DynamoDB: write units/s of the table of clients", 40_000, written),
        Demand("DynamoDB: write units/s of a round's partition", 1000, RECEIPT_UNITS * joins / fleet.parts),
        Demand("DynamoDB: write units/s of a row of a round's counters", 1000, COUNTER_WRITES * joins / fleet.parts),
        Demand("DynamoDB: write units/s of the table of rounds", 40_000, (RECEIPT_UNITS + COUNTER_WRITES) * joins),
        Demand("DynamoDB: seconds to read a round's receipts, of a pace", fleet.pace_seconds, _read_seconds(receipt_bytes)),
        Demand("Census: seconds to count a segment, of the monitor's 120", 120, count_seconds),
        Demand("Census: rows/s, of what the monitor counts by itself", limits.own / 60, fleet.clients / fleet.census_period),
        Demand("S3: PUT/s of a round's prefix", 3500, joins),
        Demand("S3: GET/s of one checkpoint", 5500, joins),
        Demand("SQS: messages in flight", 120_000, joins * INSPECTION_SECONDS),
        Demand("CloudWatch: PutMetricData/s", 500, 1 / 60),
        Demand("KMS: requests/s", 10_000, 14 / 300),
    ]  # fmt: skip


def _pages(nbytes: float) -> int:
    return math.ceil(nbytes / PAGE_BYTES)


def _read_seconds(nbytes: float) -> float:
    """A partition is read consistently at 3,000 units of 4 KiB a second, and page after page."""
    return max(nbytes / (4096 * 3000), _pages(nbytes) * PAGE_SECONDS)


def first_to_break(fleet: FleetSize) -> Demand:
    """The quota of which the largest share is asked."""
    return max(demands(fleet), key=lambda demand: demand.share)


def shortest_pace(clients: int) -> float:
    """Seconds, alike for heartbeats and for waiting devices, at which a fleet takes nine tenths of API Gateway's rate."""
    return 2 * clients / 9000


def shortest_window(places: int) -> float:
    """Seconds over which a round's participants must come, so that its partitions and the table take them."""
    parts = min(MOST_PARTS, math.ceil(places / PLACES_A_PART))
    return places * max(RECEIPT_UNITS / parts / 1000, (RECEIPT_UNITS + COUNTER_WRITES) / 40_000)


HEARTBEAT_DOLLARS = REQUEST_DOLLARS
"""Of one heartbeat, all services together: what `muster fleet plan` reckons with too."""


def heartbeat_dollars_a_month(clients: int, seconds: float) -> float:
    """What the heartbeats of a fleet cost."""
    return clients * 730 * 3600 / seconds * HEARTBEAT_DOLLARS


def census_dollars_a_month(clients: int, seconds: float) -> float:
    """Every row of every client is read, at half a unit for 4 KiB, in each period."""
    return clients * CLIENT_BYTES / 4096 / 2 * 730 * 3600 / seconds * 0.125 / 1e6


FLEETS = (FleetSize(clients=10**4), FleetSize(clients=10**6, goal=10_000), FleetSize(clients=10**8, goal=100_000))


def table(fleets: Sequence[FleetSize] = FLEETS) -> str:
    """Markdown: each quota, and what share of it each fleet asks for."""
    head = "| quota | allowed | " + " | ".join(f"{f.clients:,} clients" for f in fleets) + " |"
    lines = [head, "|---|--:|" + "--:|" * len(fleets)]
    for row in zip(*(demands(fleet) for fleet in fleets), strict=True):
        cells = " | ".join(f"{'**' if d.share > 1 else ''}{_short(d.asked)}{'**' if d.share > 1 else ''}" for d in row)
        lines.append(f"| {row[0].quota} | {row[0].allowed:,.0f} | {cells} |")
    return "\n".join(lines)


def prices() -> str:
    """Markdown: what heartbeats and the census cost a month."""
    lines = [
        "| clients | heartbeat every 15 min | every hour | every day | the census | every |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for fleet in FLEETS:
        beats = [heartbeat_dollars_a_month(fleet.clients, seconds) for seconds in (900, 3600, 86_400)]
        count = census_dollars_a_month(fleet.clients, fleet.census_period)
        dollars = " | ".join(f"${value:,.2f}" for value in [*beats, count])
        lines.append(f"| {fleet.clients:,} | {dollars} | {fleet.census_period / 60:,.0f} min |")
    return "\n".join(lines)


def slowed(fleet: FleetSize) -> FleetSize:
    """The same fleet at the pace, and with rounds spread, as wide as its quotas need."""
    pace = max(fleet.pace_seconds, shortest_pace(fleet.clients))
    window = max(fleet.window_seconds, shortest_window(fleet.places), pace)
    return replace(fleet, pace_seconds=pace, heartbeat_seconds=max(fleet.heartbeat_seconds, pace), window_seconds=window)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    print(table(), prices(), table([slowed(fleet) for fleet in FLEETS]), sep="\n\n")
