"""How these checks run apps: in this process, in a fork of it that may be killed, or by the command."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from muster.flower.loading import described
from muster.flower.running import RunOptions, RunOutcome
from muster.flower.running import run as run_app

APPS = Path(__file__).parent.parent / "apps"
CLIENTS = 3
NAMES = ("numpy-client", "sklearn-legacy", "message-api", "torch-adam", "own-strategy")
CLOUD = os.environ.get("FLOWER_TESTS_CLOUD", "")
_NUMBERS = count()
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def state() -> Path:
    """A fresh folder for a run; it goes when this process ends."""
    made = tempfile.mkdtemp(prefix="flower-", dir=IN_MEMORY)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def run_here(folder: Path, kept: Path, *overrides: str, clients: int = CLIENTS, **options: Any) -> RunOutcome:
    """Run an app in this process."""
    return run_app(described(folder, overrides), RunOptions(state=kept, clients=clients, processes=0, **options))


@dataclass(frozen=True)
class Forked:
    """How a run in a fork ended: its status, its result if it had one, and what it did, step by step."""

    status: int
    outcome: dict[str, Any]
    steps: list[str]


def run_forked(name: str, kept: Path, kill_at: int | None = None) -> Forked:
    """Run an app in a fork, which kills itself before its step number `kill_at` (from 1)."""
    told = kept / "outcome.json"
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _alone(name, kept, kill_at, told)
    _, status = os.waitpid(child, 0)
    found = json.loads(told.read_text()) if told.exists() else {"outcome": {}, "steps": []}
    return Forked(os.waitstatus_to_exitcode(status), found["outcome"], found["steps"])


def _alone(name: str, kept: Path, kill_at: int | None, told: Path) -> None:
    status, steps = 1, []
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)

        def watch(step: str) -> None:
            steps.append(step)
            if len(steps) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        found = run_here(APPS / name, kept, watch=watch)
        told.write_text(json.dumps({"outcome": {"calls": found.calls, "sha256": found.sha256}, "steps": steps}))
        status = 0
    finally:
        os._exit(status)


def command(*arguments: str) -> list[str]:
    """`muster flower run` of the wheel that is installed here."""
    return [str(Path(sys.executable).parent / "muster"), "flower", "run", *arguments]


def run_command(*arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, away from this tree."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=timeout, check=False, env=outside(), cwd=IN_MEMORY
    )


def outside() -> dict[str, str]:
    """The environment of a command that knows nothing of this tree."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MUSTER_URL")}


def written(folder: Path, *, client: str = "", server: str = "", config: str = "") -> Path:
    """An app of a few lines: what its two modules hold, after the usual imports."""
    imports = (
        "import numpy as np\n"
        "from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict\n"
        "from flwr.clientapp import ClientApp\nfrom flwr.serverapp import Grid, ServerApp\n"
        "from flwr.serverapp.strategy import FedAvg\napp = {}()\n"
    )
    name = f"short{next(_NUMBERS)}"  # a module is imported once in a process
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "client_app.py").write_text(imports.format("ClientApp") + client)
    (folder / name / "server_app.py").write_text(imports.format("ServerApp") + server)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "short"\n[tool.flwr.app.components]\nserverapp = "{name}.server_app:app"\n'
        f'clientapp = "{name}.client_app:app"\n[tool.flwr.app.config]\n{config}\n'
    )
    return folder
