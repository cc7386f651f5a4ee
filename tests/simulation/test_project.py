"""`muster init` begins a project that runs as it is."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from muster.cli.app import app
from muster.project.writing import KINDS, NotStarted, start
from tests.simulation.places import WINE


def muster(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{done.output}{done.exception}"
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_tested_and_simulated_as_it_is(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "bikes"), *sys.path])
    muster("init", "bikes", "--kind", kind)
    monkeypatch.chdir("bikes")
    for name in ("federated", "device"):
        sys.modules.pop(name, None)  # another kind's
    tests = [test for name, test in runpy.run_path("test_federated.py").items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
    told = json.loads(muster("simulate", "federated.py", "--clients", "5", "--rounds", "2", "--processes", "0", "--json"))
    assert (told["model"], told["updates"]) == ("bikes", 10)
    assert told["rounds"][-1]["metrics"]["accuracy"] > told["first"]["accuracy"]
    assert {path.name for path in Path("simulated").iterdir()} == {
        "data.png", "rounds.png", "outcome.json", "deployed.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "says", "status"),
    [
        ("nowhere.py", "There is no app to run", 2),
        (f"{WINE} --data random", "expected one of iid", 2),
        (f"{WINE} --hostile many", "such as 0.1:sign-flip, got 'many'", 2),
        (f"{WINE} --hostile 0.5:rude", "expected one of nan, giant", 2),
        (f"{WINE} --clients 8 --rounds 1 --dropout 0.95 --processes 0", "only 0 completed", 5),
    ],
)
def test_a_run_that_cannot_be_is_three_lines_and_an_exit_status(
    typed: str, says: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["simulate", *typed.split()])
    assert done.exit_code == status, done.output
    assert says in " ".join(done.output.split())


def test_a_misspelt_hyperparameter_is_refused_with_what_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("misspelt.py").write_text(Path(WINE).read_text().replace('"epochs"', '"epoch"'))
    done = CliRunner().invoke(app, ["simulate", "misspelt.py"])
    assert done.exit_code == 2
    assert "why unknown hyperparameter 'epoch': did you mean 'epochs'? next" in " ".join(done.output.split())


def test_without_the_servers_code_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("muster.__file__", str(tmp_path / "muster/__init__.py"))
    done = CliRunner().invoke(app, ["simulate", WINE, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "pip install muster-server" in done.output


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
