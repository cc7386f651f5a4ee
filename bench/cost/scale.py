"""What a fleet asks of each quota of AWS, by default settings: the tables of `docs/scale.md`.

`python -m bench.cost.scale` prints them. How often devices come is not assumed: it is what the server tells them
(`muster.pacing`). Quotas are AWS's defaults for us-east-1 as known on 2026-11-24 ("Service Quotas"; DynamoDB and S3: their
developer guides). Those of a partition, of a row and of a prefix cannot be raised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chalicelib.clients.segments import CensusLimits, period
from chalicelib.rounds.counters import parts_for
from chalicelib.rounds.round import places_of
from chalicelib.storage.keys import SHARDS
from muster.pacing.intervals import GIVEN_SHARE, Intervals, PaceRules, RoundNeed, intervals
from muster.pacing.planning import REQUEST_DOLLARS
from muster.wire.admin import RoundConfig

CLIENT_BYTES, RECEIPT_BYTES, COUNTER_BYTES = 375, 600, 200
"""Rows, as measured in a round of a model with a short configuration; a test measures them again."""

RECEIPT_UNITS = 1 + 2 + 2 + 1
"""Write units of one participant in its round's partition: assigned, declared, reported, settled. What it declares and what it
reports is written in a transaction, of which a unit counts twice."""

CLIENT_UNITS = 1 + 2 + 2 + 1
"""Write units of one participant in its own row: it checks in; two transactions check the key; what is accepted is credited."""

COUNTER_UNITS = 1 + 1
"""Of one participant in rows of the round's counters: it takes a place, its inspection is noted. Those of a batch are noted
together, so mostly these are fewer."""

ROUND_READS = 3
"""Of an inspection, of the round's row: before it, and when it is noted; those of a batch of ten are fewer."""

API_SECONDS = 0.03
"""Of an API function, in each request."""

INSPECTION_SECONDS, INSPECTED_BYTES = 0.1, 50e6
"""Of an inspection: calls, and bytes that are read and looked at in a second. One of 45 MB takes a second."""

INSPECTORS, BATCH = 50, 10
"""Workers that inspect at a time, and messages that each is given (`infra/resources.yaml`); the others wait in the queue."""

MEMORY_SECONDS = 2.0
"""How long an instance remembers a round (`MUSTER_MEMORY_SECONDS`)."""

PAGE_BYTES, PAGE_SECONDS = 1 << 20, 0.05
"""What a query's page holds, and how long one takes (an assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSize:
    """A fleet, all of which waits for the rounds of one model; or in which nothing trains."""

    clients: int
    goal: int = 0
    """Of the rounds; 0: training rests."""
    update_bytes: int = 1_400_000
    rules: PaceRules = field(default_factory=PaceRules)
    census_seconds: float = 300.0
    """The shortest period of the census (`MUSTER_CENSUS_SECONDS`)."""

    @property
    def config(self) -> RoundConfig:
        """How the rounds are run: by default."""
        return RoundConfig(goal=max(1, self.goal), quorum=1, evaluators=0)

    @property
    def places(self) -> int:
        """Participants of a round."""
        return min(places_of(self.config), self.clients) if self.goal else 0

    @property
    def parts(self) -> int:
        """Partitions over which a round's rows are spread."""
        return parts_for(self.config)

    @property
    def paces(self) -> Intervals:
        """When devices are asked to come."""
        seconds = self.config.report_seconds
        need = RoundNeed(waiting=self.clients, places=places_of(self.config), seconds=seconds) if self.goal else None
        return intervals(self.rules, self.clients, need)

    @property
    def beats(self) -> float:
        """Heartbeats a second."""
        return self.clients / self.paces.heartbeat_seconds

    @property
    def asks(self) -> float:
        """Check-ins a second, where a fleet meets those of its meeting."""
        if not self.goal:
            return 0.0
        meets = self.paces.meeting_seconds
        return self.clients / (self.paces.waiting_seconds if meets is None else meets)

    @property
    def joins(self) -> float:
        """Places that are given in the busiest second. So many clients send a grant, or a report, in a later one, if training
        takes all of them equally long.
        """
        return min(self.asks, self.places, GIVEN_SHARE * self.rules.ceiling)

    @property
    def inspections(self) -> float:
        """Updates a second that are inspected while there are any."""
        return min(self.joins, INSPECTORS / self.inspection_seconds)

    @property
    def inspection_seconds(self) -> float:
        """Of one update."""
        return INSPECTION_SECONDS + self.update_bytes / INSPECTED_BYTES

    @property
    def census_period(self) -> float:
        """After how many seconds a client is counted again."""
        return period(self.clients, self.census_seconds) / timedelta(seconds=1)

    def __str__(self) -> str:
        size = f"10{str(round(math.log10(self.clients))).translate(_HIGH)}"
        return f"{size}, goal {self.goal:,}" if self.goal else f"{size} at rest"


_HIGH = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked of one quota, in the quota's unit."""

    quota: str
    allowed: float
    asked: float
    may_be_raised: bool = False
    """On request, or by a parameter of the template."""

    @property
    def share(self) -> float:
        """Of what is allowed; above 1 it breaks."""
        return self.asked / self.allowed


THROTTLE = "Its throttle for this stack (`ApiRequestsPerSecond`)"
"""No quota: the stack's own bound."""


def demands(fleet: FleetSize) -> list[Demand]:
    """Every quota that a fleet could reach, in the busiest second: places are given, and as many grants and reports come."""
    joins, inspections, limits = fleet.joins, fleet.inspections, CensusLimits()
    requests = fleet.beats + fleet.asks + 2 * joins
    written = fleet.beats + fleet.asks + (CLIENT_UNITS - 2) * joins + inspections
    of_round = (RECEIPT_UNITS - 1) * joins + inspections
    running = requests * API_SECONDS + inspections * fleet.inspection_seconds
    segment_bytes = min(fleet.clients / SHARDS, limits.grown) * CLIENT_BYTES
    waited = fleet.config.report_seconds + fleet.config.grace_seconds
    return [
        _raisable("API Gateway: requests/s", 10_000, requests),
        _raisable(THROTTLE, fleet.rules.ceiling, requests),
        _raisable("Lambda: concurrent executions", 1000, running),
        _raisable("Inspection: seconds for all of a round, of its time", waited, _inspected(fleet)),
        _fixed("DynamoDB: write units/s of a shard of clients", 1000, written / SHARDS),
        _raisable("DynamoDB: write units/s of the table of clients", 40_000, written),
        _fixed("DynamoDB: write units/s of a round's partition", 1000, of_round / fleet.parts),
        _fixed("DynamoDB: write units/s of a row of a round's counters", 1000, (joins + inspections) / fleet.parts),
        _raisable("DynamoDB: write units/s of the table of rounds", 40_000, of_round + joins + inspections),
        _fixed("DynamoDB: reads/s of a round's row", 3000, ROUND_READS * inspections + running / MEMORY_SECONDS),
        _fixed("DynamoDB: seconds to read a round's receipts, of a tick", 60, _read_seconds(fleet.places * RECEIPT_BYTES)),
        _fixed("Census: seconds to count a segment, of the monitor's 120", 120, _pages(segment_bytes) * PAGE_SECONDS),
        _fixed("Census: rows/s, of what the monitor counts by itself", limits.own / 60, fleet.clients / fleet.census_period),
        _fixed("S3: PUT/s of a round's prefix", 3500, joins),
        _fixed("S3: GET/s of one checkpoint", 5500, joins),
        _raisable("SQS: messages in flight", 120_000, min(joins, INSPECTORS * BATCH)),
        _raisable("CloudWatch: PutMetricData/s", 500, 1 / 60),
        _raisable("KMS: requests/s", 10_000, 14 / 300),
    ]  # fmt: skip


def _fixed(quota: str, allowed: float, asked: float) -> Demand:
    return Demand(quota=quota, allowed=allowed, asked=asked)


def _raisable(quota: str, allowed: float, asked: float) -> Demand:
    return Demand(quota=quota, allowed=allowed, asked=asked, may_be_raised=True)


def _inspected(fleet: FleetSize) -> float:
    """Seconds until all updates of a round are inspected, which come within one minute."""
    return fleet.places * fleet.inspection_seconds / INSPECTORS


def _pages(nbytes: float) -> int:
    return math.ceil(nbytes / PAGE_BYTES)


def _read_seconds(nbytes: float) -> float:
    """A partition is read consistently at 3,000 units of 4 KiB a second, and page after page."""
    return max(nbytes / (4096 * 3000), _pages(nbytes) * PAGE_SECONDS)


def first_to_break(fleet: FleetSize) -> Demand:
    """The quota of which the largest share is asked."""
    return max(demands(fleet), key=lambda demand: demand.share)


HEARTBEAT_DOLLARS = REQUEST_DOLLARS
"""Of one heartbeat, all services together: what `muster fleet plan` reckons with too."""


def heartbeat_dollars_a_month(clients: int, seconds: float) -> float:
    """What the heartbeats of a fleet cost."""
    return clients * 730 * 3600 / seconds * HEARTBEAT_DOLLARS


def census_dollars_a_month(clients: int, seconds: float) -> float:
    """Every row of every client is read, at half a unit for 4 KiB, in each period."""
    return clients * CLIENT_BYTES / 4096 / 2 * 730 * 3600 / seconds * 0.125 / 1e6


FLEETS = (
    FleetSize(clients=10**4, goal=1_000),
    FleetSize(clients=10**6),
    FleetSize(clients=10**6, goal=10_000),
    FleetSize(clients=10**6, goal=100_000),
    FleetSize(clients=10**8),
    FleetSize(clients=10**8, goal=100_000),
)


def table(fleets: Sequence[FleetSize] = FLEETS) -> str:
    """Markdown: each quota, and what each fleet asks of it."""
    head = "| quota | allowed | " + " | ".join(map(str, fleets)) + " |"
    lines = [head, "|---|--:|" + "--:|" * len(fleets)]
    for row in zip(*(demands(fleet) for fleet in fleets), strict=True):
        cells = " | ".join(f"{'**' if d.share > 1 else ''}{_short(d.asked)}{'**' if d.share > 1 else ''}" for d in row)
        allowed = f"{row[0].allowed:,.0f}{'' if row[0].may_be_raised else ' !'}"
        lines.append(f"| {row[0].quota} | {allowed} | {cells} |")
    return "\n".join(lines)


def paces(fleets: Sequence[FleetSize] = FLEETS) -> str:
    """Markdown: when the devices of each fleet come."""
    lines = ["| | heartbeats | check-ins | places given |", "|---|--:|--:|--:|"]
    for fleet in fleets:
        beat = f"every {_time(fleet.paces.heartbeat_seconds)}, {_short(fleet.beats)}/s"
        asks = f"every {_time(fleet.paces.waiting_seconds)}, {_short(fleet.asks)}/s" if fleet.goal else "–"
        joins = f"{fleet.places:,} in {_time(fleet.places / fleet.joins)}" if fleet.goal else "–"
        lines.append(f"| {fleet} | {beat} | {asks} | {joins} |")
    return "\n".join(lines)


def census() -> str:
    """Markdown: how often a client is counted, and what that costs."""
    lines = ["| clients | counted every | dollars a month |", "|--:|--:|--:|"]
    for clients in (10**4, 10**6, 10**8):
        seconds = FleetSize(clients=clients).census_period
        lines.append(f"| {clients:,} | {_time(seconds)} | {census_dollars_a_month(clients, seconds):,.2f} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _time(seconds: float) -> str:
    for unit, word in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {word}"
    return f"{seconds:.3g} s"


if __name__ == "__main__":
    print(table(), paces(), census(), sep="\n\n")
