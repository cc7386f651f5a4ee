"""The demo, run: in a cloud of its own, and in one that is there already."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

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
