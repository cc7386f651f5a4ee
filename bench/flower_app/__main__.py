"""`python -m bench.flower_app [NAME ...]`: run examples here and in Flower, and print both curves and times."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.flower_app.contestants import ContestRun, at_home, environment, flower, muster
from bench.flower_app.task import CONTESTS, Contest, write


def main() -> int:
    """Run each contest, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flower_app", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="characters, tabular, heads (default: all)")
    parser.add_argument("--turns", type=int, default=1, help="runs of each (default: %(default)s)")
    asked = parser.parse_args()
    known = {contest.name: contest for contest in CONTESTS}
    if unknown := set(asked.names) - known.keys():
        parser.error(f"expected names among {', '.join(known)}, got {', '.join(sorted(unknown))}")
    environment()
    for name in asked.names or known:
        with tempfile.TemporaryDirectory(prefix="muster-") as scratch:
            show(known[name], run(known[name], asked.turns, Path(scratch)))
    return 0


def run(contest: Contest, turns: int, scratch: Path) -> dict[str, list[ContestRun]]:
    """Run both, in turns."""
    data = scratch / "given.npz"
    write(contest, data)
    found: dict[str, list[ContestRun]] = {"Flower": [], "Muster": []}
    for turn in range(turns):
        for name in found:
            folder = scratch / f"{name}-{turn}"
            folder.mkdir()
            found[name].append(flower(contest, data, folder) if name == "Flower" else muster(contest, folder))
    if contest.whole:
        curve = at_home(contest, scratch)
        found["Muster"] = [replace(one, curve=curve) for one in found["Muster"]]
    return found


def show(contest: Contest, found: dict[str, list[ContestRun]]) -> None:
    """Print the curves of the first runs, and the medians of the rest."""
    rounds = found["Muster"][0].curve
    print(f"{contest.name + ': ' + contest.metric:<32}" + "".join(f"{number:>8}" for number in rounds))
    for name, runs in found.items():
        print(f"{name:<32}" + "".join(f"{runs[0].curve[number]:>8.4f}" for number in rounds))
    for title, key in (("seconds, all", "all_seconds"), ("seconds, rounds only", "round_seconds"), ("lines of code", "lines")):
        values = {name: sorted(getattr(one, key) for one in runs)[len(runs) // 2] for name, runs in found.items()}
        told = "".join(f"{name} {value:.0f}   " for name, value in values.items())
        print(f"{title:<32}{told}ratio {values['Flower'] / values['Muster']:.2f}")
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
