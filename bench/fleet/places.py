"""How many clients a second are admitted before a row, a partition or a table is at its limit, counted in what they write.

A row, and a partition, take 1,000 write units and 3,000 read units a second (Amazon DynamoDB: "Best practices for designing
and using partition keys effectively"); a table takes 40,000 of each by default ("Service, account, and table quotas"). How much
of all units the hottest one has is counted, so luck is in it, as in AWS: of few clients the hottest has more than its share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bench.fleet.stack import FleetStack
from chalicelib.rounds.counters import parts_for
from chalicelib.rounds.round import places_of
from muster.wire.admin import RoundConfig

WRITES, READS = 1_000.0, 3_000.0
"""Units a second of a row, and of a partition."""

TABLE = 40_000.0
"""The same of a table, as long as nobody has it raised."""

STEPS = ("check-in", "grant", "report", "inspection")
"""What a client of a round does, and what is done for it."""

ALL = "all in one second"

BATCH = 10
"""Messages that a worker is given at once."""

Units = Mapping[tuple[str, str, str], float]
"""By table, partition key and sort key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """How many a second of what was counted would reach a limit, and where."""

    what: str
    units: float
    """Of one, in all tables."""
    by_row: float
    by_partition: float
    by_table: float
    partition: str
    """The hottest one's key."""

    @property
    def a_second(self) -> float:
        """The least of them."""
        return min(self.by_row, self.by_partition, self.by_table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admissions:
    """Of rounds of a size."""

    goal: int
    places: int
    parts: int
    clients: int
    """That were admitted: all but one of the goal, or a sample."""
    steps: Mapping[str, Most]
    """Each step by itself, and all of them in one second."""


def most(what: str, count: int, written: Units, read: Units) -> Most:
    """How many a second, of which `count` wrote and read so much."""
    rows = [*_rates(written, count, WRITES, 3), *_rates(read, count, READS, 3)]
    partitions = [*_rates(written, count, WRITES, 2), *_rates(read, count, READS, 2)]
    tables = [*_rates(written, count, TABLE, 1), *_rates(read, count, TABLE, 1)]
    by_partition, hottest = min(partitions)
    return Most(
        what=what,
        units=sum(written.values()) / count,
        by_row=min(rows)[0],
        by_partition=by_partition,
        by_table=min(tables)[0],
        partition=hottest[-1],
    )


def _rates(units: Units, count: int, allowed: float, depth: int) -> list[tuple[float, tuple[str, ...]]]:
    """How many a second each place allows: places are tables, partitions or rows, by how much of the key tells them apart."""
    sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for key, amount in units.items():
        sums[key[:depth]] += amount
    return [(allowed * count / amount, place) for place, amount in sums.items() if amount]


def admissions(goal: int, sample: int) -> Admissions:
    """Let clients take places of a round, up to so many, upload, report and be inspected; fewer than would close it. They come
    when all places may be given: before, the server's pace admits fewer than the tables could.
    """
    config = RoundConfig(goal=goal, quorum=1, report_seconds=3600.0, evaluators=0)
    clients = min(goal - 1, sample)
    with FleetStack(clients, config) as stack:
        stack.cloud.clock.advance(config.report_seconds / 2)
        _take_part(stack, clients)
        written, read = stack.meter.written, stack.meter.read
        steps = {step: most(step, clients, written[step], read[step]) for step in STEPS}
        steps[ALL] = most(ALL, clients, _sum(written), _sum(read))
    return Admissions(goal=goal, places=places_of(config), parts=parts_for(config), clients=clients, steps=steps)


def _take_part(stack: FleetStack, clients: int) -> None:
    for number in range(clients):
        with stack.metered("check-in"):
            round_name = stack.check_in(number).json()["round"]
        with stack.metered("grant"):
            granted = stack.grant(number, round_name)
        stack.put(granted)
        with stack.metered("report"):
            stack.report(number, round_name)
        if number % BATCH == BATCH - 1:
            with stack.metered("inspection"):
                stack.cloud.deliver()
    with stack.metered("inspection"):
        stack.cloud.deliver()


def _sum(counted: Mapping[str, Units]) -> Units:
    total: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for step in STEPS:
        for key, units in counted[step].items():
            total[key] += units
    return total


def enrolments(uses: int, sample: int) -> Most:
    """Let devices enrol by one token."""
    with FleetStack(0, RoundConfig(goal=1, quorum=1)) as stack:
        token = stack.operator.mint_token(uses).token
        for number in range(sample):
            with stack.metered("enrol"):
                stack.enrol(token, f"device-{number:08d}")
        return most("enrolment", sample, stack.meter.written["enrol"], stack.meter.read["enrol"])


def heartbeats(sample: int) -> Most:
    """Let clients say that they live."""
    with FleetStack(sample, RoundConfig(goal=1, quorum=1)) as stack:
        for number in range(sample):
            with stack.metered("heartbeat"):
                stack.heartbeat(number)
        return most("heartbeat", sample, stack.meter.written["heartbeat"], stack.meter.read["heartbeat"])
