"""docs/python.md from its first line to its last: what it says to write is written, and what it says to type is typed."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.local import LocalCloud
from muster.cli.app import app

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/python.md").read_text()
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

ELSEWHERE = ("make wheel", "pip install")
"""What installs is tried where nothing is installed yet."""

SMALLER = {"--clients 50": "--clients 10", "--clients 20 --rounds 5": "--clients 5 --rounds 2"}
"""What a test need not wait for."""


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(api_processes=2, tick_seconds=0.2) as made:
        yield made


def test_every_file_and_every_command_of_the_page_works(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    typed: Counter[str] = Counter()
    for language, block in BLOCK.findall(PAGE):
        name = block.split("\n", 1)[0].removeprefix("# ").split()[0]
        if language == "python" and name.endswith(".py"):
            Path(name).write_text(block)
        if language == "python" and name == "operate.py":
            monkeypatch.syspath_prepend(tmp_path)  # for comfort.py, beside which it would lie
            runpy.run_path(name, run_name="__main__")
            assert "10 rounds are wanted\nversion 0 has 385 parameters" in capsys.readouterr().out
        for line in block.splitlines() if language == "sh" else ():
            words = shlex.split(line, comments=True)
            if not words or line.startswith(ELSEWHERE):
                continue
            match words:
                case ["cd", folder]:
                    monkeypatch.chdir(folder)
                case ["export", _]:
                    monkeypatch.setenv("MUSTER_URL", cloud.url)
                case ["muster", *arguments]:
                    muster(smaller(arguments))
                case ["pytest"]:
                    path = {**os.environ, "PYTHONPATH": str(ROOT)}
                    subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], env=path, check=True)
                case _:
                    raise AssertionError(f"nobody knows how to type {line!r}")
            typed[words[0]] += 1
    assert typed == {"cd": 1, "export": 1, "pytest": 1, "muster": 13}


def muster(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"muster {shlex.join(arguments)}\n{done.output}{done.exception}"


def smaller(arguments: list[str]) -> list[str]:
    line = shlex.join(arguments)
    for said, less in SMALLER.items():
        line = line.replace(said, less)
    if arguments[0] == "simulate":
        options = {"--processes": 0, "--rounds": 1, "--clients": 10}
        line += "".join(f" {option} {number}" for option, number in options.items() if option not in line)
    return shlex.split(line)
