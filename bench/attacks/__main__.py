"""`python -m bench.attacks`: train under every attack with every defence, write `build/bench/attacks.json`, print a table."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from bench.attacks.clients import ATTACKS
from bench.attacks.defences import NORM, defences
from bench.attacks.training import Course, Setting, train

FILE = Path(__file__).parent.parent.parent / "build/bench/attacks.json"


def main() -> int:
    """Train them all."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("--clients", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--hostile", type=int, default=4, help="of them (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    setting = Setting(**vars(parser.parse_args()))
    names = list(defences(setting.clients, setting.hostile))
    started = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        runs = {(a, d): pool.submit(train, setting, a, d) for a in ATTACKS for d in names}
        courses = {}
        for (attack, defence), run in runs.items():
            courses[attack, defence] = run.result()
            print(f"  {attack}, {defence}: {courses[attack, defence].accuracies[-1]:.3f}", flush=True)
    norms = sorted(chain.from_iterable(courses["none", "mean"].honest_norms))
    found = {
        "setting": asdict(setting),
        "clipping_norm": NORM,
        "honest_norms": {"least": norms[0], "median": statistics.median(norms), "most": norms[-1]},
        "seconds": time.monotonic() - started,
        "accuracy": {a: {d: courses[a, d].accuracies[-1] for d in names} for a in ATTACKS},
        "courses": {a: {d: _told(courses[a, d]) for d in names} for a in ATTACKS},
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(found, indent=2) + "\n")
    _table(courses, names)
    print(f"\nhonest norms, nobody hostile: {norms[0]:.2f} to {norms[-1]:.2f}, median {statistics.median(norms):.2f}")
    return 0


def _told(found: Course) -> dict[str, object]:
    """A training's figures; of the norms each round's median."""
    medians = [statistics.median(norms) if norms else None for norms in found.honest_norms]
    return {**asdict(found), "honest_norms": medians}


def _table(courses: dict[tuple[str, str], Course], names: list[str]) -> None:
    """Accuracy on the held-out scans after the last round: defences down, attacks across. `!` where rounds were abandoned."""
    print("\n| |" + "".join(f" {attack} |" for attack in ATTACKS))
    print("|---|" + "---|" * len(ATTACKS))
    for defence in names:
        cells = (courses[attack, defence] for attack in ATTACKS)
        print(f"| {defence} |" + "".join(f" {c.accuracies[-1]:.3f}{'!' if c.abandoned else ''} |" for c in cells))


if __name__ == "__main__":
    sys.exit(main())
