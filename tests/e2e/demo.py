"""The demo, run: in a cloud of its own, and in one that is there already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from infra.local import LocalCloud
from muster.operator import Operator

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(api_processes=2, tick_seconds=0.2) as made:
        yield made


def test_a_run_that_is_too_short_to_learn_says_so_and_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.digits", "--rounds", "1", "--devices", "6", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED: expected a final accuracy of at least 0.93" in done.stdout + done.stderr
    figures = json.loads((tmp_path / "demo.json").read_text())
    assert figures["rounds_completed"] == 1
    assert figures["rejected"] == {"not-finite": 1, "wrong-shape": 1}
    assert figures["tour"]["muster status digits"] == 0
    assert set(figures["tour"].values()) == {0}
    assert (tmp_path / "demo.png").stat().st_size > 10_000


def test_the_demo_runs_in_a_cloud_that_is_there_already_and_takes_no_model_that_it_has(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "examples.digits", "--rounds", "1", "--devices", "6", "--out", str(tmp_path)]
    command += ["--url", cloud.url, "--model", "scans"]
    first, second = (subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) for _ in range(2))
    with closing(Operator.connect(cloud.url)) as operator:
        assert operator.status("scans").training.rounds_completed == 1
        assert operator.client("scans-device-01").state == "active"
    assert f"1 round, {cloud.url}." in first.stdout, first.stdout + first.stderr
    assert json.loads((tmp_path / "demo.json").read_text())["rejected"] == {"not-finite": 1, "wrong-shape": 1}
    assert second.returncode == 2
    assert "there is a model scans already" in second.stderr


def test_the_console_beside_the_demo_opens_once_stays_after_the_summary_and_ends_with_it(tmp_path: Path) -> None:
    mark = f"DEMO_OF={tmp_path}"
    command = [sys.executable, "-m", "examples.digits", "--console", "--rounds", "1", "--devices", "6", "--out", str(tmp_path)]
    environment = {**os.environ, "BROWSER": "true", "PYTHONPATH": str(ROOT), **dict([mark.split("=", 1)])}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        said: list[str] = []
        try:
            link = _line(demo.stdout, said, "console  ").split()[1]
            with httpx.Client() as browser:
                assert browser.get(link).status_code == 200
                assert browser.get(link.partition("/open")[0]).status_code == 200
            assert httpx.get(link).status_code == 403
            _line(demo.stdout, said, "FAILED: expected a final accuracy")
            _line(demo.stdout, said, "the cloud stays until Ctrl-C")
            assert len(_marked(mark)) > 1
            demo.send_signal(signal.SIGINT)
            rest, _ = demo.communicate(timeout=60)
        finally:
            demo.terminate()
    assert rest == ""
    assert demo.returncode == 1, "of a demo that is too short to learn"
    assert _marked(mark) == []


def _line(lines: Iterator[str], said: list[str], start: str) -> str:
    """The next line that begins so."""
    for line in lines:
        said.append(line)
        if line.startswith(start):
            return line
    raise AssertionError("".join(said))


def _marked(mark: str) -> list[str]:
    """The processes in whose environment this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
        if mark.encode() in environment.split(b"\0"):
            found.append(process.name)
    return found
