"""`python -m bench.fleet.simulation`: days of a million devices; writes `build/bench/simulation.json` and `docs/pace.png`.

The server's pace, census, selection, rounds, places and buckets, and what the SDK does with an answer or without one, are the
real rules; who is awake, how long training takes and what goes wrong are made up (`bench.fleet.awake`, `bench.fleet.day`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.fleet.day import FleetDay
from bench.fleet.picture import DayLine, draw
from bench.fleet.plans import DayPlan
from bench.fleet.reports import DayReport, Recovery, recovery, report
from muster.wire.admin import RoundConfig

ROOT = Path(__file__).parent.parent.parent
FILE, PICTURE = ROOT / "build/bench/simulation.json", ROOT / "docs/pace.png"
HOUR = 3600.0
BURST = (9 * HOUR, 9 * HOUR + 600.0)
OUTAGE = (11.75 * HOUR, 12.25 * HOUR)
"""Across an opening of rounds that open every hour."""
RASH = 0.01
MOST_IDLE = 100
"""Requests a day of a device that has no place."""

RHYTHMS = {"every hour": HOUR, "one after another": 0.0}
COURSES = ("as usual", "with troubles", "and 1 % rash")
"""Troubles: 200,000 new devices in ten minutes, and an outage of half an hour. Rash devices ask every three seconds."""


def plans(clients: int, seed: int = 0) -> dict[tuple[str, str], DayPlan]:
    """All days, by rhythm and course."""
    found: dict[tuple[str, str], DayPlan] = {}
    for rhythm, every in RHYTHMS.items():
        config = RoundConfig(goal=max(1, clients // 100), quorum=max(1, clients // 200), every_seconds=every)
        usual = DayPlan(config=config, clients=clients, seed=seed)
        troubled = replace(usual, fresh=clients // 5, enrolling=BURST, outage=OUTAGE)
        rash = replace(troubled, rash=int(RASH * clients))
        found |= {(rhythm, course): plan for course, plan in zip(COURSES, (usual, troubled, rash), strict=True)}
    return found


def main() -> int:
    """Live through them all."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet.simulation", description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="days at a time, of some 500 MB each (default: %(default)s)")
    asked = parser.parse_args()
    days = plans(asked.clients, asked.seed)
    with ProcessPoolExecutor(asked.processes, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        runs = {names: pool.submit(_live, plan) for names, plan in days.items()}
        seen: dict[tuple[str, str], NDArray[np.int64]] = {}
        obedient: dict[tuple[str, str], NDArray[np.int64]] = {}
        told, holds = [], True
        for (rhythm, course), run in runs.items():
            found, seen[rhythm, course], obedient[rhythm, course], seconds = run.result()
            back = recovery(days[rhythm, course], obedient[rhythm, COURSES[0]], obedient[rhythm, course])
            told.append(
                {"rhythm": rhythm, "course": course, **asdict(found), "recovery": back and asdict(back), "seconds": seconds}
            )
            print(_line(rhythm, course, found, back), flush=True)
            holds &= _holds(days[rhythm, course], found, back)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"setting": vars(asked), "days": told}, indent=2) + "\n")
    np.save(FILE.with_suffix(".npy"), np.array(list(seen.values())))
    lines = [DayLine(rhythm=rhythm, course=course, requests=requests) for (rhythm, course), requests in seen.items()]
    draw(lines, OUTAGE, BURST, next(iter(days.values())).rules.ceiling, PICTURE)
    return 0 if holds else 1


def _live(plan: DayPlan) -> tuple[DayReport, NDArray[np.int64], NDArray[np.int64], float]:
    """What the day shows, all requests of each second, those of devices that obey the pace, and how long it took."""
    started = time.monotonic()
    day = FleetDay(plan).live()
    every = day.traffic.all
    return report(day), every, every - day.traffic.of_the_day("rash"), round(time.monotonic() - started, 1)


def _holds(plan: DayPlan, found: DayReport, back: Recovery | None) -> bool:
    """Whether a day is as it should be. A round that could have met the outage may miss its goal."""
    config, outage = plan.config, plan.outage
    excused = [at for at in found.missed if outage and at < outage[1] and at + config.report_seconds > outage[0]]
    return (
        found.busiest_obedient <= plan.rules.ceiling
        and len(excused) == len(found.missed)
        and found.idle_most <= MOST_IDLE
        and (back is None or back.holds)
    )


def _line(rhythm: str, course: str, found: DayReport, back: Recovery | None) -> str:
    fill, longest = found.filled_seconds
    missed = ", ".join(f"{int(at // 3600):02d}:{int(at % 3600 // 60):02d}" for at in found.missed)
    line = (
        f"{rhythm}, {course}: {found.mean_per_second:,.0f} a second, at most {found.busiest_second:,} (second "
        f"{found.busiest_at:,}; {found.busiest_obedient:,} without rash devices), {found.throttled:,} throttled; "
        f"{found.reached} of {found.rounds} rounds{f' (not {missed})' if missed else ''}, filled in {fill:.0f} s, at most "
        f"{longest:.0f} s; an idle device {found.idle_mean:.0f} a day, at most {found.idle_most}; rash: "
        f"{found.requests['rash']:,} requests, {found.rash_places:.1%} of places"
    )
    if back is None:
        return line
    return (
        f"{line}; after the outage {back.first:.2f} of the usual in a quarter of an hour, the busiest minute "
        f"{back.highest:.2f} of the usual and the backlog"
    )


if __name__ == "__main__":
    sys.exit(main())
