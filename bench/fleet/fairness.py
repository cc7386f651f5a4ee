"""`python -m bench.fleet.fairness`: who trains, among clients of very different speed; writes `build/bench/fairness.json`.

200 rounds of 50 updates from 1,000 clients. The quickest is ten times as quick as the slowest: it asks for work ten times as
often, and trains in a tenth of the time. Either all come as they like, or as they are told; then they only train so.
The rounds, their lots, places and ends, and the clients' buckets are the server's own code.

If every round drew its clients evenly, each client's count of n rounds would have a mean of n p and a variance of n p (1 - p);

    X² = Σ (count - n p)² / (n p (1 - p))

would be distributed as chi-square with a degree of freedom less than there are clients (Pearson 1900; a round draws without
replacement). A course is no more uneven than that, if X² is not beyond what 999 of 1,000 such courses stay below.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from scipy import stats

from bench.fleet.rounds import AGGREGATE_SECONDS, SimulatedRounds, instant
from chalicelib.clients.rate import RequestRate, TooSoon
from chalicelib.rounds.devices.pacing import OFTENER, need_of
from chalicelib.rounds.devices.selection import turn_to_train
from chalicelib.rounds.moves import Phase
from muster.pacing.intervals import TICK_SECONDS, Intervals, PaceRules, intervals
from muster.pacing.waits import WaitReason, wait
from muster.wire.admin import RoundConfig

FILE = Path(__file__).parent.parent.parent / "build/bench/fairness.json"
LEVEL = 0.001
SLOWEST_ASKS, SLOWEST_TRAINS = 60.0, 180.0
"""Seconds between two check-ins of the slowest client, as often as a small fleet is asked to come, and for its training."""
QUICKER = 10.0
RATE = RequestRate(burst=30, seconds=10.0)
"""As a stack has it by default; for check-ins it is slowed by the fleet's pace. Whoever asks more often is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FairCase:
    """How rounds are filled."""

    lottery: bool
    obeys: bool
    """Whether devices come when they are told, or as they like."""
    over_selection: float
    slowed: bool = True
    """Whether the bucket of a device that comes as it likes follows the pace, or lets it ask each 10 s."""
    rounds: int = 200
    clients: int = 1_000
    goal: int = 50
    seed: int = 0

    @property
    def config(self) -> RoundConfig:
        """Of its model."""
        return RoundConfig(
            goal=self.goal,
            quorum=self.goal // 2,
            over_selection=self.over_selection,
            lottery=self.lottery,
            evaluators=0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FairCourse:
    """Who trained, by client, the slowest first."""

    places: list[int]
    updates: list[int]
    """That came before the goal was reached."""
    seconds: float
    """From a round's opening to its goal, on average."""
    check_ins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evenness:
    """How even a count is, against an even draw."""

    statistic: float
    """X² over its degrees of freedom: 1 on average."""
    p: float
    slowest: float
    quickest: float
    """What the slowest tenth has, and the quickest, of an even tenth."""

    @property
    def holds(self) -> bool:
        """Whether it is no more uneven than an even draw."""
        return self.p >= LEVEL


@dataclass(slots=True)
class _Course:
    """One course as it goes on: who does what next is in a heap."""

    case: FairCase
    rounds: SimulatedRounds = field(init=False)
    paces: Intervals = field(init=False)
    rate: RequestRate = field(init=False)
    dice: random.Random = field(init=False)
    places: list[int] = field(init=False)
    updates: list[int] = field(init=False)
    check_ins: int = 0
    events: list[tuple[float, int, str, int]] = field(default_factory=list)
    """When, which client (-1: the server), what, and of which round."""
    turns: dict[tuple[int, int], float] = field(default_factory=dict)
    reported: dict[int, int] = field(default_factory=dict)
    arrivals: dict[int, float] = field(default_factory=dict)
    """Of their buckets."""

    def __post_init__(self) -> None:
        self.rounds = SimulatedRounds(self.case.config, self.case.seed, PaceRules())
        self.paces = intervals(PaceRules(), self.case.clients, need_of(self.case.config, self.case.clients))
        self.rate = RATE.slowed(self.paces.waiting_seconds / OFTENER) if self.case.slowed else RATE
        self.dice = random.Random(self.case.seed)  # noqa: S311 (dice)
        self.places, self.updates = [0] * self.case.clients, [0] * self.case.clients

    def speed(self, client: int) -> float:
        """From 1, the slowest, to 10."""
        return float(QUICKER ** (client / max(1, self.case.clients - 1)))

    def live(self) -> None:
        for client in range(self.case.clients):
            heapq.heappush(self.events, (self.dice.uniform(0, SLOWEST_ASKS), client, "asks", 0))
        heapq.heappush(self.events, (0.0, -1, "tick", 0))
        while len(self.rounds.courses) <= self.case.rounds:
            now, client, what, number = heapq.heappop(self.events)
            if client < 0:
                self._serve(now, tick=what == "tick")
            elif what == "asks":
                self._ask(now, client)
            else:
                self._report(now, client, number)

    def _serve(self, now: float, *, tick: bool) -> None:
        before = self.rounds.round
        self.rounds.look(now, tick=tick)
        after = self.rounds.round
        if tick:
            heapq.heappush(self.events, (now + TICK_SECONDS, -1, "tick", 0))
        if after is not None and after is not before and after.phase is Phase.AGGREGATING:
            heapq.heappush(self.events, (now + AGGREGATE_SECONDS, -1, "look", 0))

    def _ask(self, now: float, client: int) -> None:
        rnd = self.rounds.round
        self.check_ins += 1
        arrival = self.rate.taken(self.arrivals.get(client), now)
        if isinstance(arrival, TooSoon):
            heapq.heappush(self.events, (now + self._own_wait(client), client, "asks", 0))
            return
        self.arrivals[client] = arrival
        if rnd is None or rnd.phase is not Phase.COLLECTING:
            self._come_again(now, client, "between-rounds")
        elif self.reported.get(client) == rnd.number:
            self._come_again(now, client, "already-done")
        elif instant(now) >= rnd.report_by:
            self._come_again(now, client, "round-closed")
        elif (turn := self._turn(client)) > now:
            self._come_again(now, client, "not-drawn", turn - now)
        elif self.rounds.seat(now, name_of(client), self.case.clients):
            self.places[client] += 1
            trains = SLOWEST_TRAINS / self.speed(client) * self.dice.uniform(0.8, 1.2)
            heapq.heappush(self.events, (now + trains, client, "reports", rnd.number))
        else:
            self._come_again(now, client, "round-full")

    def _turn(self, client: int) -> float:
        rnd = self.rounds.round
        if rnd is None:
            return 0.0
        at = (rnd.number, client)
        if at not in self.turns:
            turn = turn_to_train(rnd, name_of(client), self.case.clients)
            self.turns[at] = (turn - instant(0.0)).total_seconds()
        return self.turns[at]

    def _report(self, now: float, client: int, number: int) -> None:
        rnd = self.rounds.round
        if rnd is not None and rnd.number == number and rnd.phase is Phase.COLLECTING:
            self.reported[client] = number
            self.updates[client] += 1
            self.rounds.inspected(1, number)
            self._serve(now, tick=False)
        heapq.heappush(self.events, (now, client, "asks", 0))

    def _come_again(self, now: float, client: int, reason: WaitReason, turn_seconds: float = 0.0) -> None:
        if self.case.obeys:
            seconds = wait(reason, self.paces, now=now, draw=self.dice.random(), turn_seconds=turn_seconds)
        else:
            seconds = self._own_wait(client)
        heapq.heappush(self.events, (now + max(seconds, 0.001), client, "asks", 0))

    def _own_wait(self, client: int) -> float:
        return SLOWEST_ASKS / self.speed(client) * self.dice.uniform(0.5, 1.5)


def name_of(client: int) -> str:
    """The id of a client."""
    return f"client-{client:04d}"


def run(case: FairCase) -> FairCourse:
    """Let its clients live through its rounds."""
    course = _Course(case)
    course.live()
    closed = [each.closed_after for each in course.rounds.courses if each.closed_after is not None]
    return FairCourse(
        places=course.places,
        updates=course.updates,
        seconds=sum(closed) / len(closed),
        check_ins=course.check_ins,
    )


def evenness(counts: Sequence[int], rounds: int) -> Evenness:
    """How even counts over so many rounds are, each of which drew as many clients as they say on average."""
    clients = len(counts)
    mean = sum(counts) / clients
    each = mean * (1.0 - mean / rounds)
    statistic = sum((count - mean) ** 2 for count in counts) / each
    tenth = max(1, clients // 10)
    return Evenness(
        statistic=statistic / (clients - 1),
        p=float(stats.chi2.sf(statistic, clients - 1)),
        slowest=sum(counts[:tenth]) / tenth / mean,
        quickest=sum(counts[-tenth:]) / tenth / mean,
    )


def main() -> int:
    """Run them all, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet.fairness", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--courses", type=int, default=4, help="of each case, with dice of their own (default: %(default)s)")
    asked = parser.parse_args()
    cases = [
        FairCase(lottery=lottery, obeys=obeys, slowed=slowed, over_selection=over, rounds=asked.rounds)
        for over in (1.0, 1.3)
        for obeys, slowed in ((False, False), (False, True), (True, True))
        for lottery in (False, True)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = [[pool.submit(run, replace(case, seed=seed)) for seed in range(asked.courses)] for case in cases]
        told = [_told(case, [one.result() for one in some]) for case, some in zip(cases, runs, strict=True)]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"setting": vars(asked), "level": LEVEL, "cases": told}, indent=2) + "\n")
    print(
        "X² over its degrees of freedom (courses no more uneven than an even draw); slowest and quickest tenth of an even one"
    )
    print(f"{'over-selection, devices come':<46}{'places':>28}{'updates':>28}{'seconds a round':>18}{'check-ins':>12}")
    for row in told:
        print(_line(row))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What some courses of a case come to, on average."""

    statistic: float
    holds: int
    """Courses that are no more uneven than an even draw."""
    slowest: float
    quickest: float


def _told(case: FairCase, courses: Sequence[FairCourse]) -> dict[str, Any]:
    found = {
        "places": _average([evenness(course.places, case.rounds) for course in courses]),
        "updates": _average([evenness(course.updates, case.rounds) for course in courses]),
    }
    return {
        "over_selection": case.over_selection,
        "come": "as told" if case.obeys else f"as they like, {'slowed' if case.slowed else 'each 10 s'}",
        "lottery": case.lottery,
        **{what: asdict(average) for what, average in found.items()},
        "courses": len(courses),
        "seconds": round(fmean(course.seconds for course in courses), 1),
        "check_ins": round(fmean(course.check_ins for course in courses)),
    }


def _average(found: Sequence[Evenness]) -> _Told:
    return _Told(
        statistic=round(fmean(even.statistic for even in found), 2),
        holds=sum(even.holds for even in found),
        slowest=round(fmean(even.slowest for even in found), 2),
        quickest=round(fmean(even.quickest for even in found), 2),
    )


def _line(row: dict[str, Any]) -> str:
    words = f"{row['over_selection']}, {row['come']}" + (", by lot" if row["lottery"] else "")
    counts = ""
    for what in ("places", "updates"):
        found = row[what]
        counts += (
            f"{found['statistic']:>9.2f} ({found['holds']}/{row['courses']}) {found['slowest']:>6.2f} {found['quickest']:>6.2f}"
        )
    return f"{words:<46}{counts}{row['seconds']:>18.0f}{row['check_ins']:>12,}"


if __name__ == "__main__":
    sys.exit(main())
