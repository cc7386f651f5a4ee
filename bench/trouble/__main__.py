"""`python -m bench.trouble`: a fleet through outages of half an hour, in virtual time; writes `build/bench/trouble.json`.

Requests are those that a device sends to the API and to the store, repeats included, a device and 15 minutes (the interval
between heartbeats). A device is back when what it does otherwise is answered again: a check-in, or, when its model rests, a
heartbeat.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from bench.trouble.server import HEARTBEAT_SECONDS, Fleet, Trouble
from bench.trouble.simulation import OutageCourse, observe_quietly

FILE = Path(__file__).parent.parent.parent / "build/bench/trouble.json"
WORDS: dict[Fleet, str] = {
    "waits": "waits for a round",
    "trains": "trains every 10 minutes",
    "rests": "its model rests: heartbeats only",
}
HEAD = (
    "requests a device and 15 minutes; busiest: requests a second, before, during and after; back: minutes after the outage, "
    "of half the devices and of all\n"
    f"{'fleet':<34}{'30 minutes of':<28}{'before':>8}{'during':>8}{'share':>8}{'after':>18}{'busiest':>20}{'back':>12}"
)

MOST_SHARE = 0.1
"""Of the usual requests, in an overload, of a fleet that does more than heartbeats."""


def main() -> int:
    """Let them all live through it."""
    parser = argparse.ArgumentParser(prog="python -m bench.trouble", description=__doc__)
    parser.add_argument("--devices", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    given = parser.parse_args()
    cases: list[tuple[Fleet, Trouble]] = [(fleet, trouble) for fleet in WORDS for trouble in get_args(Trouble)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        runs = {case: pool.submit(observe_quietly, given.devices, *case, given.seed) for case in cases}
        print(HEAD, "-" * len(HEAD.splitlines()[-1]), sep="\n", flush=True)
        courses = {}
        for case, run in runs.items():
            courses[case] = run.result()
            print(_line(*case, courses[case]), flush=True)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    told = [{"fleet": fleet, "trouble": trouble, **asdict(course)} for (fleet, trouble), course in courses.items()]
    FILE.write_text(json.dumps(told, indent=2) + "\n")
    return 0 if all(_holds(fleet, trouble, course) for (fleet, trouble), course in courses.items()) else 1


def _holds(fleet: Fleet, trouble: Trouble, course: OutageCourse) -> bool:
    """Whether all were back within two intervals, and an overload lowered the rate as it should."""
    few = fleet == "rests" or not trouble.startswith("429") or course.share <= MOST_SHARE
    return few and len(course.back) == course.devices and course.back[-1] <= 2 * HEARTBEAT_SECONDS


def _line(fleet: Fleet, trouble: Trouble, course: OutageCourse) -> str:
    after = " ".join(f"{rate:.1f}" for rate in course.after)
    busiest = " ".join(f"{rate:.1f}" for rate in course.busiest)
    back = f"{course.back[len(course.back) // 2] / 60:.0f} · {course.back[-1] / 60:.0f}" if course.back else "never"
    if len(course.back) < course.devices:
        back += f" ({course.devices - len(course.back)} not)"
    return (
        f"{WORDS[fleet]:<34}{trouble:<28}{course.before:>8.2f}{course.during:>8.2f}{course.share:>8.1%}"
        f"{after:>18}{busiest:>20}{back:>12}"
    )


if __name__ == "__main__":
    sys.exit(main())
