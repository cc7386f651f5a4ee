"""`python -m bench.precision`: measure everything, write `build/bench/precision.json`, and print a table."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench.precision.comparing import compare
from bench.precision.rounds import PrecisionCase, PrecisionRound
from muster.aggregation.grids import Grid
from muster.wire.encodings import ENCODINGS, Encoding

BUILD = Path(__file__).parent.parent.parent / "build/bench"
GIANT = 9e29
"""One element that is as large as the gate lets pass, in every encoding (`muster.wire.gate.NORM_LIMIT`)."""

LEAST = 0.999
"""The share of elements that must be correctly rounded; of a float64 model none may be a whole ulp off."""


def cases(elements: int) -> Iterator[PrecisionCase]:
    """What is measured."""
    usual = PrecisionCase(dtype="f4", encoding="plain", spread="bell", giant=0.0, total=100, updates=100, elements=elements)
    for spread in ("bell", "log-normal 1", "log-normal 2", "log-normal 4"):
        for giant in (0.0, 1e6, GIANT):
            for total in (100, 1 << 17, 1 << 36):
                yield replace(usual, spread=spread, giant=giant, total=total)
    for encoding in ENCODINGS[1:]:
        for spread, giant in (("bell", 0.0), ("log-normal 4", 0.0), ("bell", GIANT)):
            if encoding != "float16" or (spread, giant) == ("bell", 0.0):  # which holds no more than 65,504
                yield from (replace(usual, encoding=encoding, spread=spread, giant=giant, total=t) for t in (100, 1 << 36))
    for spread in ("bell", "log-normal 2"):
        yield from (replace(usual, dtype="f2", spread=spread, total=total) for total in (100, 1 << 36))
    for encoding in ("plain", "float32", "int8"):
        for spread, giant in (("bell", 0.0), ("log-normal 4", 0.0), ("log-normal 4", GIANT)):
            yield from (
                replace(usual, dtype="f8", encoding=encoding, spread=spread, giant=giant, total=t) for t in (100, 1 << 36)
            )
    yield replace(usual, dtype="f8", updates=1, total=1)
    yield replace(usual, dtype="f8", updates=1, total=10**9)
    few = replace(usual, elements=elements // 4)
    for updates in (2_000, 10_000):
        for spread, giant in (("bell", 0.0), ("log-normal 4", GIANT)):
            yield from (replace(few, spread=spread, giant=giant, updates=updates, total=t) for t in (updates, 1 << 40))


def measured(case: PrecisionCase, sample: int) -> dict[str, Any]:
    """One case: which grid it has, and how its elements compare."""
    made = PrecisionRound(case)
    places = np.random.default_rng(3).choice(case.elements, min(case.elements, sample * 100 // case.updates), replace=False)
    found = compare(made.mean()[places], made.exact(places.tolist()), case.dtype)
    grid = made.grid
    kind = ("each element its own" if grid.bits is None else "one") + (", two limbs" if grid.limbs == 2 else "")
    fine = found.worst_ulps < 1.0 if case.dtype == "f8" else found.correct >= LEAST
    return {**asdict(case), "grid": kind, "places": len(places), **asdict(found), "fine": fine}


FORCED = {
    "one limb": Grid(bits=30, room=36, weighted=True),
    "one limb, weights before": Grid(bits=30, room=47),
    "two limbs": Grid(bits=30, room=36, limbs=2, weighted=True),
    "two limbs, weights before": Grid(bits=30, room=47, limbs=2),
    "each element its own": Grid(bits=None, room=47),
    "each element its own, two limbs": Grid(bits=None, room=47, limbs=2),
}
"""Grids that a mean of 64 updates of a total weight of 2**17 is made to use."""

TIMED: tuple[tuple[str, Encoding], ...] = (("f4", "plain"), ("f4", "bfloat16"), ("f4", "int8"), ("f8", "plain"))


def times(runs: int, elements: int) -> dict[str, dict[str, float]]:
    """CPU time of each way, in turns, on the same updates in memory: the least of some runs, where one limb is 1."""
    found: dict[str, dict[str, float]] = {}
    for dtype, encoding in TIMED:
        made = PrecisionRound(
            PrecisionCase(
                dtype=dtype, encoding=encoding, spread="bell", giant=0.0, total=1 << 17, updates=64, elements=elements
            )
        )
        best = dict.fromkeys(FORCED, float("inf"))
        for _ in range(runs):
            for name, grid in FORCED.items():
                best[name] = min(best[name], _timed(made.mean, grid))
        found[f"{dtype} {encoding}"] = {name: seconds / best["one limb"] for name, seconds in best.items()}
    return found


def _timed(run: Callable[[], Any], grid: Grid) -> float:
    """CPU seconds of a mean that is made to use this grid."""
    with mock.patch("muster.aggregation.rules.mean.grids", return_value=[grid]):
        started = time.process_time()
        run()
        return time.process_time() - started


def main() -> int:
    """Measure; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description=__doc__)
    parser.add_argument("--elements", type=int, default=50_000, help="elements of an update (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=5_000, help="elements that are compared (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=9, help="runs of what is timed (default: %(default)s)")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    heads = f"{'model':<6}{'encoding':<10}{'spread':<14}{'giant':>8}{'updates':>8}{'weight':>14}  {'grid':<32}"
    print(f"{heads}{'correct':>9}{'ulps':>7}")
    rows = []
    for case in cases(options.elements):
        row = measured(case, options.sample)
        rows.append(row)
        print(
            f"{row['dtype']:<6}{row['encoding']:<10}{row['spread']:<14}{row['giant']:>8.0e}{row['updates']:>8}{row['total']:>14}"
            f"  {row['grid']:<32}{row['correct']:>9.3%}{row['worst_ulps']:>7.3f}{'' if row['fine'] else '  FALLS SHORT'}",
            flush=True,
        )
    ratios = times(options.runs, 1_000_000)
    print(json.dumps(ratios, indent=2))
    (BUILD / "precision.json").write_text(json.dumps({"cases": rows, "times": ratios}, indent=2) + "\n")
    return 0 if all(row["fine"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
