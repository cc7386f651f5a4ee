"""`python -m bench.attacks`: train under every attack with every defence, and without any; print tables, and write all that is
behind them to `build/bench/attacks.json`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: each process has one thread

from bench.attacks import honest
from bench.attacks.attacks import ATTACKS
from bench.attacks.data import FOLDER, PICTURES, TASKS
from bench.attacks.defences import defences
from bench.attacks.training import Setting, TrainingCourse, train

FILE = FOLDER / "attacks.json"
COST_SEEDS = 5

Courses = dict[tuple[str, str, str], TrainingCourse]
"""By data set, attack, and defence."""


def main() -> int:
    """Train them all."""
    chosen = _arguments()
    setting = Setting(
        clients=chosen.clients, hostile=chosen.hostile, rounds=4 if chosen.quick else chosen.rounds, seed=chosen.seed
    )
    started = time.monotonic()
    for name in chosen.data:
        TASKS[name](setting.clients, setting.seed)  # what has to be fetched is fetched once
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        costs = {} if chosen.no_costs else _costs(pool, setting, list(TASKS), 1 if chosen.quick else COST_SEEDS)
        courses = _under_attack(pool, setting, chosen)
    found = {
        "setting": asdict(setting),
        "seconds": round(time.monotonic() - started, 1),
        "honest": costs,
        "data": {data: _figures(data, courses, chosen) for data in chosen.data},
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(found, indent=2) + "\n")
    if costs:
        _print_costs(costs)
    for data in chosen.data:
        _print_table(data, courses, chosen)
    print(f"\n{found['seconds']:.0f} seconds; written to {FILE}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("--clients", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--hostile", type=int, default=4, help="of them (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--data", nargs="+", choices=TASKS, default=list(PICTURES), help="data sets (default: %(default)s)")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="ATTACK", help="(default: all)")
    names = list(defences(20, 4, 1.0))
    parser.add_argument("--defences", nargs="+", choices=names, default=names, metavar="DEFENCE", help="(default: all)")
    parser.add_argument("--quick", action="store_true", help="four rounds and one seed: to see that it runs")
    parser.add_argument("--no-costs", action="store_true", help="leave out what the guards cost honest training")
    return parser.parse_args()


def _costs(pool: Executor, setting: Setting, tasks: Sequence[str], seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """By data set and guard: what honest training comes to, over some seeds."""
    runs = {
        (data, name): [
            pool.submit(train, replace(setting, seed=setting.seed + seed), data, "none", config) for seed in range(seeds)
        ]
        for data in tasks
        for name, config in honest.configs(setting.clients).items()
    }
    found: dict[str, dict[str, dict[str, float]]] = {data: {} for data in tasks}
    for (data, name), several in runs.items():
        found[data][name] = honest.line(run.result() for run in several)
        print(f"  honest, {data}, {name}: {found[data][name]['accuracy']:.3f}", flush=True)
    return found


def _under_attack(pool: Executor, setting: Setting, chosen: argparse.Namespace) -> Courses:
    runs: dict[tuple[str, str, str], Future[TrainingCourse]] = {}
    for data in chosen.data:
        task = TASKS[data](setting.clients, setting.seed)
        configs = defences(setting.clients, setting.hostile, task.recipe.clip_norm)
        for attack in chosen.attacks:
            if task.trigger is None and ATTACKS[attack].needs_pictures:
                continue
            for name in chosen.defences:
                runs[data, attack, name] = pool.submit(train, setting, data, attack, configs[name])
    courses: Courses = {}
    for (data, attack, name), run in runs.items():
        courses[data, attack, name] = run.result()
        print(f"  {data}, {attack}, {name}: {courses[data, attack, name].accuracies[-1]:.3f}", flush=True)
    return courses


def _figures(data: str, courses: Courses, chosen: argparse.Namespace) -> dict[str, Any]:
    """All that there is to tell of a data set."""
    run = [attack for attack in chosen.attacks if (data, attack, chosen.defences[0]) in courses]
    known = {attack: {defence: courses[data, attack, defence] for defence in chosen.defences} for attack in run}
    return {
        "honest_norm": _median_norm(known.get("none", {}).values()),
        "accuracy": {a: {d: course.accuracies[-1] for d, course in row.items()} for a, row in known.items()},
        "courses": {a: {d: told(course) for d, course in row.items()} for a, row in known.items()},
    }


def _median_norm(courses: Any) -> float | None:
    """Of the honest updates of the first of some trainings."""
    norms = [norm for course in list(courses)[:1] for norm in chain.from_iterable(course.honest_norms)]
    return statistics.median(norms) if norms else None


def told(found: TrainingCourse) -> dict[str, object]:
    """A training's figures; of the norms each round's median."""
    medians = [statistics.median(norms) if norms else None for norms in found.honest_norms]
    return {**asdict(found), "honest_norms": medians, "rejected": dict(found.rejected)}  # asdict counts a Counter's pairs


def _print_costs(costs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Guards down, data sets across: accuracy, and the shares of updates that were quarantined, and capped."""
    print("\n| |" + "".join(f" {data} | out | capped |" for data in costs))
    print("|---|" + "---|" * (3 * len(costs)))
    for name in honest.GUARDS:
        cells = (costs[data][name] for data in costs)
        print(f"| {name} |" + "".join(f" {c['accuracy']:.3f} | {c['quarantined']:.1%} | {c['capped']:.1%} |" for c in cells))


def _print_table(data: str, courses: Courses, chosen: argparse.Namespace) -> None:
    """Accuracy on what is held out after the last round: attacks down, defences across. `!` where rounds were abandoned; of
    backdoors also how many pictures with the trigger the model calls as they want it.
    """
    print(f"\n| {data} |" + "".join(f" {defence} |" for defence in chosen.defences))
    print("|---|" + "---|" * len(chosen.defences))
    for attack in chosen.attacks:
        cells = [courses[data, attack, defence] for defence in chosen.defences if (data, attack, defence) in courses]
        if cells:
            shows = ATTACKS[attack].spoils == "backdoor"
            print(f"| {attack} |" + "".join(f" {_cell(course, shows)} |" for course in cells))


def _cell(course: TrainingCourse, shows_success: bool) -> str:
    success = f" ({course.success:.2f})" if shows_success and course.success is not None else ""
    return f"{course.accuracies[-1]:.3f}{'!' if course.abandoned else ''}{success}"


if __name__ == "__main__":
    sys.exit(main())
