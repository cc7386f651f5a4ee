"""`python -m bench.rollouts`: simulate guarded rollouts, write `build/bench/rollouts.json`, print tables."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.rollouts.fleets import KINDS, LIES, Course, Ended, run
from bench.rollouts.oracle import largest_difference
from chalicelib.rollouts.guard import Finding, Guard

FILE = Path(__file__).parent.parent.parent / "build/bench/rollouts.json"
SIZES = ((1, 5, 20), (1, 1, 60), (12, 60, 120), (200, 1_000, 100))
"""Reports in a tick, of the candidate and of the stable version, and ticks."""

LOSSES = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
SHARES = (0.1, 0.2)
LYING_LOSSES = (0.1, 0.2, 0.3, 0.5)
MARGIN = 0.02


def main() -> int:
    """Simulate them all."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollouts", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2_000, help="without a difference, of each kind (default: %(default)s)")
    parser.add_argument("--losses", type=int, default=200, help="rollouts of each true loss (default: %(default)s)")
    parser.add_argument("--no-oracle", action="store_true", help="leave out another library's boundary, which takes a compiler")
    asked = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found: dict[str, Any] = {
            "setting": vars(asked),
            "alike": [_alike(pool, asked.rollouts, kind, *size) for kind in KINDS for size in SIZES],
            "lost": [_lost(pool, asked.losses, kind, loss) for kind in KINDS[:3] for loss in LOSSES],
            "promoted": [_promoted(pool, asked.losses, kind, loss) for kind in KINDS for loss in (0.0, MARGIN, 2 * MARGIN)],
            "lied": [_lied(pool, asked.losses, kind, share) for kind in KINDS[:3] for share in SHARES],
            "oracle": None if asked.no_oracle else largest_difference(),
        }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({**found, "seconds": time.monotonic() - started}, indent=2) + "\n")
    _tables(found)
    return 0


def _ended(pool: Executor, count: int, course: Course, guard: Guard, *, promotes: bool = False) -> list[Ended]:
    return list(pool.map(partial(run, course, guard, promotes=promotes), range(count), chunksize=20))


def _share(ended: Iterable[Ended], finding: Finding) -> float:
    return statistics.fmean(one.finding is finding for one in ended)


def _median(ended: Iterable[Ended], finding: Finding) -> float | None:
    """Reports on the candidate in the median rollout; None when more than half found something else."""
    reports = statistics.median(one.reports if one.finding is finding else float("inf") for one in ended)
    return None if reports == float("inf") else reports


def _alike(pool: Executor, count: int, kind: str, candidates: int, others: int, ticks: int) -> dict[str, Any]:
    course = Course(kind=kind, candidates=candidates, others=others, ticks=ticks)
    ended = _ended(pool, count, course, Guard(margin=0.0))
    return {"kind": kind, "reports": candidates * ticks, "others": others * ticks, "back": _share(ended, Finding.WORSE)}


def _lost(pool: Executor, count: int, kind: str, loss: float) -> dict[str, Any]:
    ended = _ended(pool, count, Course(kind=kind, loss=loss), Guard(margin=0.0))
    return {"kind": kind, "loss": loss, "back": _share(ended, Finding.WORSE), "reports": _median(ended, Finding.WORSE)}


def _promoted(pool: Executor, count: int, kind: str, loss: float) -> dict[str, Any]:
    ended = _ended(pool, count, Course(kind=kind, loss=loss, ticks=400), Guard(margin=MARGIN), promotes=True)
    found = {finding.value: _share(ended, finding) for finding in Finding}
    return {"kind": kind, "loss": loss, **found, "reports": _median(ended, Finding.NOT_WORSE)}


def _lied(pool: Executor, count: int, kind: str, share: float) -> dict[str, Any]:
    guard = Guard(margin=MARGIN, liars=share)
    forced = {
        told: _share(_ended(pool, count, Course(kind=kind, liars=share, lie="force"), one), Finding.WORSE)
        for told, one in (("granted", guard), ("not granted", Guard(margin=MARGIN)))
    }
    blocked = {
        loss: _share(_ended(pool, count // 4, Course(kind=kind, liars=share, lie="block", loss=loss), guard), Finding.WORSE)
        for loss in LYING_LOSSES
    }
    return {"kind": kind, "liars": share, "forced": forced, "found": blocked, "lies": list(LIES)}


def _tables(found: dict[str, Any]) -> None:
    print("No difference: rolled back, looked at on every tick, level 0.05, margin 0")
    for row in found["alike"]:
        print(f"  {row['kind']:<12} {row['reports']:>7,} reports beside {row['others']:>8,}   {row['back']:7.2%}")
    print("\nA true loss: rolled back, and reports on the candidate in the median rollout (12 a tick beside 60)")
    for row in found["lost"]:
        reports = "-" if row["reports"] is None else f"{row['reports']:.0f}"
        print(f"  {row['kind']:<12} {row['loss']:5.2f}   {row['back']:7.2%}   {reports:>6}")
    print(f"\nPromotion with a margin of {MARGIN}: found not worse, worse, neither after 4,800 reports; reports in the median")
    for row in found["promoted"]:
        reports = "-" if row["reports"] is None else f"{row['reports']:.0f}"
        shares = "   ".join(f"{row[finding.value]:7.2%}" for finding in (Finding.NOT_WORSE, Finding.WORSE, Finding.OPEN))
        print(f"  {row['kind']:<12} {row['loss']:5.2f}   {shares}   {reports:>6}")
    print(f"\nLiars (margin {MARGIN}): of candidates as good are rolled back, if liars are granted, and if not; of worse ones")
    for row in found["lied"]:
        told = "   ".join(f"{loss:g}: {share:.0%}" for loss, share in row["found"].items())
        forced = "   ".join(f"{share:7.2%}" for share in row["forced"].values())
        print(f"  {row['kind']:<12} {row['liars']:.0%}   {forced}   {told}")
    if found["oracle"] is not None:
        print(f"\nBoundary against confseq's: at most {found['oracle']:.1e} apart")


if __name__ == "__main__":
    sys.exit(main())
