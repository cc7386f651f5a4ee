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
from pathlib import Path
from typing import Any

from bench.aggregation import data

HERE, ROOT = Path(__file__).parent, Path(__file__).parent.parent.parent
BUILD = ROOT / "build/bench"
PEERS = {"flwr": "flower_side.py", "nvflare": "nvflare_side.py"}
ROBUST = ("median", "trimmed", "krum", "multikrum")
LEGACY = ("legacy_krum", "legacy_multikrum")
"""Flower's other implementation, for NumPy clients (`flwr.server.strategy`); it ships both."""

BYTES = {"float16": 2.0, "bfloat16": 2.0, "int8": 1.0 + 4 / 1024}
ENCODINGS = tuple(BYTES)
MEANS = [f"mean:{shape}" for shape in data.SHAPES if shape != "tiny"]

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


def contest(command: list[str | Path], runs: int, cases: list[str], environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What a contestant measured, each case in a process of its own, so that none profits from another's memory."""
    found = {}
    for case in cases:
        print(f"  {str(command[-1]).rpartition('/')[2].rpartition('.')[2]} {case}", flush=True)
        done = subprocess.run([*command, str(runs), case], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=True)
        for line in map(json.loads, done.stdout.splitlines()):
            seconds = {"seconds": statistics.median(line["seconds"]), "all": line["seconds"]}
            found[line["case"]] = {**seconds, "check": line["check"]}
    return found


def memory(updates: int, parameters: int) -> float:
    """Muster's peak bytes a parameter."""
    command = [sys.executable, "-m", "bench.aggregation.memory", str(updates), str(parameters)]
    done = subprocess.run(command, cwd=ROOT, env=OURS, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["per_parameter"])


def main() -> int:
    """Run the contest."""
    parser = argparse.ArgumentParser(prog="python -m bench.aggregation", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each case; their median counts (default: %(default)s)")
    parser.add_argument("--shapes", nargs="*", default=[case.partition(":")[2] for case in MEANS], help="shapes of the means")
    options = parser.parse_args()
    means = [f"mean:{shape}" for shape in options.shapes]
    BUILD.mkdir(parents=True, exist_ok=True)
    print("measuring", flush=True)
    muster = contest(_own("muster_side"), options.runs, [*means, *(f"read:{shape}" for shape in options.shapes)], OURS)
    muster |= contest(_own("muster_side"), options.runs, [*ROBUST, *ENCODINGS], OURS)
    muster |= contest(_own("end_to_end"), options.runs, ["moto", "fast"], OURS)
    muster |= contest(_own("two_workers"), options.runs, ["1", "2"], OURS)
    flower = contest([environment("flwr"), HERE / PEERS["flwr"]], options.runs, [*means, *ROBUST, *LEGACY], THEIRS)
    nvflare = contest([environment("nvflare"), HERE / PEERS["nvflare"]], options.runs, means, THEIRS)
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
    found = {
        "machine": {"cpu": platform.processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "runs": options.runs,
        "ratios": ratios,
        "muster": muster,
        "flower": flower,
        "nvflare": nvflare,
    }
    (BUILD / "aggregation.json").write_text(json.dumps(found, indent=2) + "\n")
    _table(muster, flower, nvflare, means)
    print(json.dumps(ratios, indent=2))
    return 0


def _own(module: str) -> list[str | Path]:
    return [sys.executable, "-m", f"bench.aggregation.{module}"]


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
