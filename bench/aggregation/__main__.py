"""`python -m bench.aggregation`: measure everything, write `build/bench/aggregation.json`, and print a table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.aggregation import data

HERE, ROOT = Path(__file__).parent, Path(__file__).parent.parent.parent
BUILD = ROOT / "build/bench"
PEERS = {"flwr": "flower_side.py", "nvflare": "nvflare_side.py"}
NAMES = {"flower": "flwr", "nvflare": "nvflare"}
ROBUST = ("median", "trimmed", "krum", "multikrum")
LEGACY = ("legacy_krum", "legacy_multikrum")
"""Flower's other implementation, for NumPy clients (`flwr.server.strategy`); it ships both."""

BYTES = {"float16": 2.0, "bfloat16": 2.0, "int8": 1.0 + 4 / 1024}
ENCODINGS = tuple(BYTES)
SHAPES = [shape for shape in data.SHAPES if shape != "tiny"]

THEIRS = {**os.environ, "PYTHONPATH": str(ROOT)}
OURS = {**THEIRS, "OPENBLAS_NUM_THREADS": "1"}
"""As the template has it: the aggregation has threads of its own. The peers keep those of their BLAS."""


def environment(peer: str) -> Path:
    """The interpreter of a peer's own environment, made once."""
    folder = BUILD / "venvs" / peer
    ready = folder / ".ready"
    pin = next(line for line in (HERE / "peers.txt").read_text().split() if line.startswith(f"{peer}=="))
    if not ready.exists() or ready.read_text() != pin:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", pin], check=True)
        ready.write_text(pin)
    return folder / "bin/python"


Found = dict[str, dict[str, dict[str, Any]]]
"""What was measured: by contestant, and by case."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that runs a case so many times and prints its seconds."""

    name: str
    command: Sequence[str | Path]
    environ: Mapping[str, str]

    def run(self, runs: int, case: str) -> list[dict[str, Any]]:
        """What it measured, in a process of its own, so that no case profits from another's memory."""
        print(f"  {self.name} {case}", flush=True)
        command = [*self.command, str(runs), case]
        done = subprocess.run(command, cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


def contest(found: Found, pairs: Sequence[tuple[Contestant, str]], runs: int, turns: int) -> None:
    """Let contestants run their cases in turns, and note what they measured: so a minute in which the machine is slow is
    everybody's.
    """
    for _ in range(turns):
        for contestant, case in pairs:
            for line in contestant.run(runs, case):
                noted = found[contestant.name].setdefault(line["case"], {"all": [], "check": line["check"]})
                noted["all"] += line["seconds"]
                noted["seconds"] = statistics.median(noted["all"])


def memory(updates: int, parameters: int) -> float:
    """Muster's peak bytes a parameter."""
    command = [sys.executable, "-m", "bench.aggregation.memory", str(updates), str(parameters)]
    done = subprocess.run(command, cwd=ROOT, env=OURS, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["per_parameter"])


def main() -> int:
    """Run the contest."""
    parser = argparse.ArgumentParser(prog="python -m bench.aggregation", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each case in a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="turns; the median of all runs counts (default: %(default)s)")
    parser.add_argument("--shapes", nargs="*", default=SHAPES, help="shapes of the means")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    own = _own("muster_side")
    flwr, nvfl = (Contestant(name, [environment(peer), HERE / PEERS[peer]], THEIRS) for name, peer in NAMES.items())
    found: Found = {"muster": {}, "flower": {}, "nvflare": {}}
    print("measuring", flush=True)
    for shape in options.shapes:
        mean = f"mean:{shape}"
        contest(found, [(own, mean), (own, f"read:{shape}"), (flwr, mean), (nvfl, mean)], options.runs, options.turns)
    for rule in ROBUST:
        theirs = [(flwr, case) for case in (rule, f"legacy_{rule}") if case in (*ROBUST, *LEGACY)]
        contest(found, [(own, rule), *theirs], options.runs, options.turns)
    contest(found, [(own, encoding) for encoding in ENCODINGS], options.runs, options.turns)
    contest(found, [(_own("end_to_end"), store) for store in ("moto", "fast")], options.runs, 1)
    contest(found, [(_own("two_workers"), workers) for workers in ("1", "2")], options.runs, 1)
    muster, flower, nvflare = found.values()
    means = [f"mean:{shape}" for shape in options.shapes]
    seconds = {case: line["seconds"] for case, line in muster.items()}
    read_rate = data.nbytes(options.shapes[0]) / seconds[f"read:{options.shapes[0]}"]
    ratios: dict[str, Any] = {
        "exact_vs_flower": {c.partition(":")[2]: flower[c]["seconds"] / seconds[c] for c in means},
        "exact_vs_nvflare": {c.partition(":")[2]: nvflare[c]["seconds"] / seconds[c] for c in means},
        "exact_vs_read": {s: seconds[f"read:{s}"] / seconds[f"mean:{s}"] for s in options.shapes},
        **{f"{rule}_vs_flower": flower[rule]["seconds"] / seconds[rule] for rule in ROBUST},
        **{f"{rule}_vs_flower": flower[rule]["seconds"] / seconds[rule.partition("_")[2]] for rule in LEGACY},
        **{f"end_to_end_{store}": seconds[f"gets:{store}"] / seconds[f"whole:{store}"] for store in ("moto", "fast")},
        "two_workers": seconds["workers:1"] / seconds["workers:2"],
        "peak_bytes_per_parameter_100": memory(100, 1_000_000),
        "peak_bytes_per_parameter_10000": memory(10_000, 1_000_000),
        **{encoding: _encoded(encoding, seconds[encoding], read_rate) for encoding in ENCODINGS},
    }
    written = {
        "machine": {"cpu": platform.processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "runs": options.runs,
        "ratios": ratios,
        "turns": options.turns,
        **found,
    }
    (BUILD / "aggregation.json").write_text(json.dumps(written, indent=2) + "\n")
    _table(muster, flower, nvflare, means)
    print(json.dumps(ratios, indent=2))
    return 0


def _own(module: str) -> Contestant:
    return Contestant("muster", [sys.executable, "-m", f"bench.aggregation.{module}"], OURS)


def _encoded(encoding: str, seconds: float, read_rate: float) -> dict[str, float]:
    """Parameters a second, in billions, and the bytes of them beside a plain read of as many."""
    updates, parameters = data.SHAPES[data.ROBUST_SHAPE]
    rate = updates * parameters / seconds
    return {"gparameters_per_second": rate / 1e9, "vs_read": rate * BYTES[encoding] / read_rate}


def _table(muster: Any, flower: Any, nvflare: Any, means: list[str]) -> None:
    print(f"\n{'case':<16}{'Muster':>12}{'Flower':>12}{'NVFLARE':>12}   GB/s (seconds)")
    for case in [*means, *ROBUST]:
        size = data.nbytes(case.partition(":")[2] or data.ROBUST_SHAPE) / 1e9
        cells = (f"{size / side[case]['seconds']:.2f}" if case in side else "-" for side in (muster, flower, nvflare))
        print(f"{case:<16}" + "".join(f"{cell:>12}" for cell in cells) + f"   ({muster[case]['seconds']:.3f})")


if __name__ == "__main__":
    sys.exit(main())
