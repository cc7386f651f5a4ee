"""`muster init` begins a project that runs as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muster.project.writing import KINDS, NotStarted, start

ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, *command: str) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_tested_and_simulated_as_it_is(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "bikes"
    run(tmp_path, "muster", "init", "bikes", "--kind", kind)
    assert "2 passed" in run(folder, "pytest", "-q", "-p", "no:cacheprovider")
    told = json.loads(
        run(folder, "muster", "simulate", "federated.py", "--clients", "5", "--rounds", "2", "--processes", "0", "--json")
    )
    assert (told["model"], told["updates"]) == ("bikes", 10)
    assert told["rounds"][-1]["metrics"]["accuracy"] > told["first"]["accuracy"]
    assert {path.name for path in (folder / "simulated").iterdir()} == {
        "data.png", "rounds.png", "outcome.json", "deployed.safetensors",
    }  # fmt: skip


def test_files_that_are_there_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotStarted, match="expected an empty folder, or none"):
        start(tmp_path, "bikes", "torch")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["Bikes", "1st", "", "a" * 60, "../up", "a b"])
def test_a_name_that_no_model_can_have_is_refused_before_a_file_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="expected lower case letters"):
        start(tmp_path / "new", name, "torch")
    assert not (tmp_path / "new").exists()


def test_a_kind_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="expected one of torch, sklearn, got 'jax'"):
        start(tmp_path / "new", "bikes", "jax")
