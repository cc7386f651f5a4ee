"""The demo of rollouts, run with a smaller fleet, whose first steps are larger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_good_canary_comes_to_all_a_spoilt_one_goes_back_blue_green_switches_and_an_experiment_knows(
    tmp_path: Path,
) -> None:
    smaller = [
        "--devices",
        "240",
        "--steps",
        "15,40",
        "--window",
        "25",
        "--heartbeat",
        "5",
        "--beats",
        "9",
    ]  # and slower: other tests run beside it
    command = [sys.executable, "-m", "examples.rollouts", *smaller, "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "rollout.json").read_text())
    assert figures["unmet"] == []
    canary, sabotage, blue_green = (figures["acts"][name] for name in ("canary", "sabotage", "blue-green"))
    assert [(move["kind"], move["percent"]) for move in canary["moves"]] == [
        ("started", 15.0),
        ("stepped", 40.0),
        ("promoted", None),
    ]
    assert 0 < sabotage["figures"]["ever_ran"] < 72
    assert sabotage["figures"]["alert"]["because"] == sabotage["figures"]["because"]
    assert blue_green["figures"]["way_back_downloads"] == 0
    assert 1 <= blue_green["figures"]["way_back_beats"] <= 2
    result = figures["acts"]["experiment"]["figures"]["result"]
    assert result["effects"][0]["finding"] == "worse"
    assert sum(arm["share"] for arm in result["arms"]) > 99.9
    assert figures["series"][-1]["running"] == {"1": 240}
    assert max(look["running"].get("2", 0) for look in figures["series"]) <= sabotage["figures"]["ever_ran"]
    assert any(look["low"] is not None for look in figures["series"])
    assert (tmp_path / "rollout.png").stat().st_size > 10_000
