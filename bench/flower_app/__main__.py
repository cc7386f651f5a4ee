"""`python -m bench.flower_app`: run the example of characters here and in Flower, and print both curves and times."""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from bench.flower_app.task import EXAMPLE, PLAN, write

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VENV = ROOT / "build/venvs/flower-app"
PATIENCE_SECONDS = 900
PINS = ["flwr[simulation]==1.41.0", "torch==2.13.0", "numpy>=2.2,<3"]


def environment() -> Path:
    """The folder of Flower's own environment, made once."""
    ready = VENV / ".ready"
    if not ready.exists() or ready.read_text() != repr(PINS):
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([VENV / "bin/python", "-m", "pip", "install", "--quiet", *PINS], check=True)
        ready.write_text(repr(PINS))
    return VENV


def flower(data: Path, folder: Path) -> dict[str, Any]:
    """`flwr run`: the curve, and the seconds to the end of its last round, with and without what it needs to begin."""
    curve, home = folder / "curve.json", folder / "app"
    shutil.copytree(HERE / "app", home)
    path = f"{environment() / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "FLWR_HOME": str(folder / "home")}
    said = f'data="{data}" curve="{curve}" rounds={PLAN.rounds}'
    started = time.time()
    command = [str(VENV / "bin/flwr"), "run", str(home), "--stream", "--run-config", said]
    try:
        subprocess.run(command, env=environ, check=True, timeout=PATIENCE_SECONDS, capture_output=True)
    finally:
        _end_what_it_started()
    lines = json.loads(curve.read_text())
    return {
        "curve": [line["accuracy"] for line in lines],
        "all_seconds": lines[-1]["at"] - started,
        "round_seconds": lines[-1]["at"] - lines[0]["at"],
        "lines": sum(code_lines(HERE / "app" / name) for name in ("client_app.py", "server_app.py"))
        + code_lines(HERE / "app/task.py", without=("examples", "first")),
    }


def _end_what_it_started() -> None:
    """Flower leaves a server behind, which later runs would talk to."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(VENV).encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended by itself


def muster(folder: Path) -> dict[str, Any]:
    """`muster simulate`: the same."""
    started = time.time()
    command = [
        sys.executable, "-m", "muster", "simulate", str(EXAMPLE), "--data", PLAN.partition, "--clients", str(PLAN.clients),
        "--rounds", str(PLAN.rounds), "--json", "--out", str(folder / "out"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout)
    return {
        "curve": [told["first"]["accuracy"], *(rnd["metrics"]["accuracy"] for rnd in told["rounds"])],
        "all_seconds": time.time() - started,
        "round_seconds": told["seconds"],
        "lines": code_lines(EXAMPLE),
    }


def code_lines(path: Path, without: tuple[str, ...] = ()) -> int:
    """Lines with code in them, without docstrings, and without some functions."""
    text = path.read_text()
    tree = ast.parse(text)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or (isinstance(node, ast.FunctionDef) and node.name in without):
            left_out |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))  # type: ignore[attr-defined]
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in left_out
        for number, line in enumerate(text.splitlines(), start=1)
    )


def main() -> int:
    """Run both, in turns, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flower_app", description=__doc__)
    parser.add_argument("--turns", type=int, default=1, help="runs of each (default: %(default)s)")
    turns = parser.parse_args().turns
    environment()
    found: dict[str, list[dict[str, Any]]] = {"Flower": [], "Muster": []}
    with tempfile.TemporaryDirectory(prefix="muster-") as scratch:
        data = Path(scratch) / "plays.npz"
        write(data)
        for turn in range(turns):
            for name in found:
                folder = Path(scratch) / f"{name}-{turn}"
                folder.mkdir()
                found[name].append(flower(data, folder) if name == "Flower" else muster(folder))
    print(f"{'held-out accuracy by round':<28}" + "".join(f"{number:>8}" for number in range(PLAN.rounds + 1)))
    for name, runs in found.items():
        print(f"{name:<28}" + "".join(f"{value:>8.4f}" for value in runs[0]["curve"]))
    for title, key in (("seconds, all", "all_seconds"), ("seconds, rounds only", "round_seconds"), ("lines of code", "lines")):
        values = {name: sorted(run[key] for run in runs)[len(runs) // 2] for name, runs in found.items()}
        told = "".join(f"{name} {value:.0f}   " for name, value in values.items())
        print(f"{title:<28}{told}ratio {values['Flower'] / values['Muster']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
