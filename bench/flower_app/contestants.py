"""One run of a contest in Flower, and one in Muster: the curve, the seconds, and how long the code is."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.flower_app.task import ROOT, Contest

VENV = ROOT / "build/venvs/flower-app"
PATIENCE_SECONDS = 900
PINS = ["flwr[simulation]==1.41.0", "torch==2.13.0", "scikit-learn==1.9.1", "numpy>=2.2,<3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestRun:
    """What came of a run."""

    curve: dict[int, float]
    """The accuracy that is compared, by round."""
    all_seconds: float
    """To the end of the last round, from the start of the command."""
    round_seconds: float
    """The same without what the contestant needs to begin."""
    lines: int


def environment() -> Path:
    """The folder of Flower's own environment, made once; what it lacks is added."""
    ready = VENV / ".ready"
    if not ready.exists() or ready.read_text() != repr(PINS):
        if not (VENV / "bin/python").exists():
            venv.create(VENV, with_pip=True)
        subprocess.run([VENV / "bin/python", "-m", "pip", "install", "--quiet", *PINS], check=True)
        ready.write_text(repr(PINS))
    return VENV


def flower(contest: Contest, data: Path, folder: Path) -> ContestRun:
    """`flwr run`."""
    curve, app, home = folder / "curve.json", folder / "app", folder / "home"
    shutil.copytree(contest.app, app, ignore=shutil.ignore_patterns("__pycache__"))
    path = f"{environment() / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "FLWR_HOME": str(home)}
    said = f'data="{data}" curve="{curve}" rounds={contest.plan.rounds}'
    started = time.time()
    command = [str(VENV / "bin/flwr"), "run", str(app), "--stream", "--run-config", said]
    try:
        done = subprocess.run(command, env=environ, timeout=PATIENCE_SECONDS, capture_output=True, text=True)
    finally:
        _end_what_it_started(home)
    if not curve.exists():
        raise RuntimeError(f"Flower did not come to the end of {contest.name}: {done.stdout}{done.stderr}")
    told = json.loads(curve.read_text())
    return ContestRun(
        curve={int(number): accuracy for number, accuracy in told["curve"].items()},
        all_seconds=told["ended"] - started,
        round_seconds=told["ended"] - told["began"],
        lines=sum(code_lines(file, contest.apart) for file in contest.app.glob("*.py")),
    )


def _end_what_it_started(home: Path) -> None:
    """Flower leaves a server behind, which later runs would talk to. Its processes have this run's FLWR_HOME."""
    given_up_at = time.monotonic() + 10
    while (left := _started_with(f"FLWR_HOME={home}")) and time.monotonic() < given_up_at:
        for number in left:
            try:
                os.kill(number, signal.SIGTERM)
            except ProcessLookupError:
                continue  # it has ended by itself
        time.sleep(0.2)


def _started_with(variable: str) -> list[int]:
    """The ids of processes in whose environment a variable stands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # it has ended, or is another user's
    return found


def muster(contest: Contest, folder: Path) -> ContestRun:
    """`muster simulate`: the same."""
    started = time.time()
    told = _simulated(contest, contest.plan.rounds, folder)
    return ContestRun(
        curve={0: told["first"]["accuracy"], **{rnd["number"]: rnd["metrics"]["accuracy"] for rnd in told["rounds"]}},
        all_seconds=time.time() - started,
        round_seconds=told["seconds"],
        lines=code_lines(contest.example, contest.apart),
    )


def at_home(contest: Contest, folder: Path) -> dict[int, float]:
    """By round, the mean over all devices of the newest version's accuracy on a device's own test data, with its own head.

    Muster measures it once, when the last round has ended: the new body, with the head as the device's training of that round
    has left it beside its own body. So this runs the contest with one round, with two, and so on: the same seed, the same
    versions. Flower's apps measure the same after each round.
    """
    found: dict[int, float] = {}
    versions: list[str] = []
    for rounds in range(1, contest.plan.rounds + 1):
        told = _simulated(contest, rounds, folder)
        found[rounds] = told["local"]["mean"]
        if [rnd["sha256"] for rnd in told["rounds"]][:-1] != versions:
            raise RuntimeError(f"{contest.name}: a run of {rounds} rounds has other versions than a shorter one")
        versions.append(told["newest_sha256"])
    return found


def _simulated(contest: Contest, rounds: int, folder: Path) -> dict[str, Any]:
    """The outcome of `muster simulate`."""
    plan = contest.plan
    command = [
        sys.executable, "-m", "muster", "simulate", str(contest.example), "--data", plan.partition,
        "--clients", str(plan.clients), "--rounds", str(rounds), "--json", "--out", str(folder / "out"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def code_lines(path: Path, without: tuple[str, ...] = ()) -> int:
    """Lines with code in them, without docstrings, and without some functions and constants. Imports count."""
    text = path.read_text()
    tree = ast.parse(text)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_apart = isinstance(node, ast.FunctionDef) and node.name in without
        is_apart |= isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in without
        if is_text or is_apart:
            left_out |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))  # type: ignore[attr-defined]
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in left_out
        for number, line in enumerate(text.splitlines(), start=1)
    )
