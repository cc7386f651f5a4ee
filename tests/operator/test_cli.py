"""The command line, as a person and as a script type it; behind it the whole server, in this process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app import app as server
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Summary
from muster import __version__
from muster.cli import render
from muster.cli.app import app
from muster.cli.errors import NEXT
from muster.cli.session import without_urls
from muster.operator import Operator
from muster.operator.client import NoAddress
from muster.wire.arrays import encode
from muster.wire.failures import FailureReason
from muster.wire.problems import Problem
from muster.wire.spelling import percent_of
from tests.fleet import BASE, World, checkpoint
from tests.operator.terminal import Terminal
from tests.rounds.making import a_round

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.safetensors"
    path.write_bytes(encode(BASE))
    return path


@pytest.fixture
def better(tmp_path: Path) -> Path:
    path = tmp_path / "better.safetensors"
    path.write_bytes(checkpoint(1.0))
    return path


def columns(table: str) -> list[list[str]]:
    """The cells of a printed table, row by row."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines() if line.strip()]


def test_a_models_life_from_the_terminal(world: World, muster: Terminal, base: Path, better: Path, tmp_path: Path) -> None:
    assert "no models yet" in muster.text("model list")
    made = muster.json("model create toy {} --goal 2 --quorum 1", base)
    assert (made["deployed_version"], made["config"]["goal"]) == (0, 2)
    assert columns(muster.text("model list"))[1][:3] == ["toy", "stopped", "0"]
    assert '"quorum": 1' in muster.text("model show toy")

    assert muster.json("round start toy --rounds 3")["training"] == {
        "state": "running",
        "rounds_completed": 0,
        "rounds_wanted": 3,
    }
    world.tick()
    assert columns(muster.text("round list toy"))[1][:2] == ["1", "collecting"]
    assert muster.json("round show toy")["round"] == "toy.1"
    ended = muster.json("round abandon toy --because wrong-data")
    assert (ended["phase"], ended["reason"]) == ("abandoned", "wrong-data")
    assert muster.json("round stop toy")["training"]["state"] == "stopped"

    registered = muster.json("version register toy {} --metric accuracy=0.9 --note lab", better)
    assert (registered["id"], registered["metrics"], registered["note"]) == ("toy.v1", {"accuracy": 0.9}, "lab")
    assert "deployed version 1 of toy (revision 2)" in muster.text("deploy toy challenger --because try")
    assert "is deployed already" in muster.text("deploy toy 1")
    rows = columns(muster.text("version list toy"))
    assert [row[:3] for row in rows] == [["version", "state", "alias"], ["1", "deployed", "champion"], ["0", "retired", "-"]]
    assert [v["version"] for v in muster.json("version list toy --state retired")] == [0]
    assert "toy.v1" in muster.text("version show toy champion")
    assert "match their digests" in muster.text("version verify toy champion")
    assert muster.json("version verify toy 0")["verified"]

    out = tmp_path / "out.safetensors"
    assert muster.json("version download toy champion --out {}", out)["file"] == str(out)
    assert out.read_bytes() == better.read_bytes()
    assert "--force" in muster.fails("version download toy 0 --out {}", 2, out)
    assert out.read_bytes() == better.read_bytes()
    muster.text("version download toy 0 --out {} --force", out)
    assert out.read_bytes() == base.read_bytes()

    assert "rolled back to version 0 of toy, past version 1 (revision 3)" in muster.text("rollback toy")
    assert [row[:3] for row in columns(muster.text("deployment list toy"))[1:]] == [
        ["3", "0", "rolled-back"], ["2", "1", "deployed"], ["1", "0", "deployed"],
    ]  # fmt: skip


def test_the_same_rollback_typed_twice_with_its_revision_is_made_once(muster: Terminal, base: Path, better: Path) -> None:
    muster.text("model create toy {} --goal 1 --quorum 1", base)
    muster.text("version register toy {}", better)
    muster.text("deploy toy 1")
    first = muster.json("rollback toy --revision 2")
    assert muster.json("rollback toy --revision 2") == first
    muster.text("deploy toy 1")
    again = muster("rollback toy --revision 2 --json")
    assert json.loads(again.said) == first, "the same again has the same answer"
    assert "nothing was changed now: since then revision 4 serves version 1; muster deployment list toy" in again.complained
    assert "note" not in muster("deploy toy 1 --revision 3").complained, "it is what is served"
    complaint = muster.fails("rollback toy --revision 1", 1)
    assert "nothing was changed, and clients are served version 1" in complaint
    assert "expected revision 4: version 1, deployed at" in complaint
    assert "next  muster deployment list toy, and decide again" in complaint
    assert len(muster.json("deployment list toy")) == 4


def test_who_saw_an_older_revision_is_told_of_the_rollout_that_goes_on(world: World, muster: Terminal, base: Path) -> None:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    muster.text("rollout start toy 1 --strategy canary --steps 25")
    complaint = muster.fails("rollback toy --revision 1", 1)
    assert "clients are served version 0, and version 1 to" in complaint


def test_presigned_urls_are_printed_only_when_they_are_asked_for(
    world: World, muster: Terminal, base: Path, better: Path
) -> None:
    """They are keys: whoever has one may download. Terminals and logs of pipelines keep what is printed."""
    muster.text("model create toy {} --goal 1 --quorum 1", base)
    lines = ("version register toy {}", "version list toy", "version show toy 0", "version keep toy 1", "deploy toy 1",
             "deployment list toy", "rollback toy", "status toy", "status", "model show toy", "model history toy")  # fmt: skip
    for line in lines:
        assert "http" not in muster.text(f"{line} --json", better), line
    shown = muster.json("version show toy 0")
    assert (shown["checkpoint"]["url"], shown["document_url"]) == (None, None)
    with_urls = muster.json("version show toy 0 --with-urls")
    assert "X-Amz-Signature=" in with_urls["checkpoint"]["url"]
    assert "X-Amz-Signature=" in with_urls["document_url"]
    (newest, _) = muster.json("version list toy --with-urls")
    assert "X-Amz-Signature=" in newest["checkpoint"]["url"]
    assert without_urls(with_urls) == shown, "all else is the same"


def test_the_fleet_from_the_terminal(world: World, muster: Terminal) -> None:
    minted = muster.json("token mint --uses 2 --hours 1 --label batch-1 --model toy --device-type edge")
    world.model(rounds=0)
    world.device(minted["token"], "boiler-1").heartbeat_if_due()
    (listed,) = muster.json("token list")
    assert (listed["label"], listed["claimed"], listed["models"], listed["device_types"]) == ("batch-1", 1, ["toy"], ["edge"])
    assert minted["token"].partition(".")[2] not in muster.text("token list")
    assert columns(muster.text("client list"))[1][:4] == ["boiler-1", "active", "yes", "edge"]
    assert muster.json("client list --alive --model toy --device-type edge --state active")[0]["client_id"] == "boiler-1"
    assert "no such clients" in muster.text("client list --silent")
    assert "boiler-1" in muster.text("client show boiler-1")
    world.monitor()
    assert muster.json("client statistics")["by_device_type"] == {"edge": 1}
    assert muster.json("client revoke boiler-1")["state"] == "revoked"
    assert muster.json("token revoke " + minted["token_id"])["state"] == "revoked"


def test_a_model_that_there_is_not_is_named_with_those_that_may_be_meant(world: World, muster: Terminal) -> None:
    world.model("toy")
    world.devices(1)
    for line in ("client list --model tox", "token mint --model tox --dry-run"):
        assert "there is no model 'tox': did you mean 'toy'?" in muster(line).complained
    for line in ("client list --model toy", "token mint --model toy --dry-run"):
        assert muster(line).complained == ""


def test_objectives_from_the_terminal(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    assert "no objective was measured yet" in muster.text("status toy")
    rnd = a_round(Phase.COMPLETED, opened_at=world.clock(), finished_at=world.clock())
    world.services.rounds.open(replace(rnd, summary=Summary(accepted=54, rejected={"not-finite": 6}, judges=15)))
    world.monitor()
    shown = {row[0]: row[1:] for row in columns(muster.text("objectives toy"))}
    assert shown["rounds"] == ["0 of 1 rounds", "100 %", "95 %", "100 %", "-"]
    assert shown["uploads"] == ["6 of 60 uploads", "90 %", "95 %", "none", "-"]
    assert shown["availability"] == ["-", "not measured", "99.9 %", "-", "-"]
    short = {row[0]: row[1:] for row in columns(muster.text("status toy"))}
    assert short["uploads"] == ["90 %", "95 %", "none"]
    assert "availability" not in short
    assert [one["name"] for one in muster.json("objectives toy")["objectives"]][:2] == ["rounds", "uploads"]
    assert muster("objectives tyo").exit_code != 0


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.999999, "99.99 %"), (0.999, "99.9 %"), (1e-9, "0.01 %"), (0.5, "50 %"), (0.1, "10 %")],
)
def test_a_share_is_never_rounded_to_all_or_to_nothing(share: float, shown: str) -> None:
    assert percent_of(share) == shown


def test_metrics_and_alerts_from_the_terminal(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    assert muster.json("threshold set toy clients --min 2")["minimum"] == 2
    world.monitor()
    (loss,) = (row for row in columns(muster.text("threshold list toy")) if row[0] == "loss")
    assert loss[:8] == ["loss", "-", "5", "-", "warning", "-", "-", "default"]
    assert "breach" in muster.text("threshold list toy")
    assert [alert["metric"] for alert in muster.json("alerts list toy --open")] == ["clients"]
    mistyped = muster("threshold set toy acuracy --min 0.5 --json")
    assert json.loads(mistyped.said)["metric"] == "acuracy"
    assert "acuracy of toy has no value yet, and without one no alert opens; did you mean 'accuracy'?" in mistyped.complained
    assert "note" not in muster("threshold set toy clients --min 2").complained
    assert muster.json("alerts ack toy clients")["state"] == "acknowledged"
    assert columns(muster.text("metrics query toy clients --hours 2"))[1][:4] == ["clients", "2", "1", "0"]
    assert muster.json("metrics query toy clients")["count"] == 1
    assert muster.json("threshold set toy clients --none")["minimum"] is None
    world.monitor()
    states = {alert["metric"]: alert["state"] for alert in muster.json("alerts list")}
    assert states == {"clients": "cleared"}


def test_why_says_what_each_model_waits_for_and_what_to_type(world: World, muster: Terminal) -> None:
    world.model(goal=2, quorum=2)
    world.model("other", rounds=0)
    world.tick()
    said = muster.text("why")
    assert "toy: collecting round 1: 0 of 2 updates accepted" in said
    assert "other: training was never started" in said
    assert "to go on: muster round start other --rounds 10" in said
    assert muster.json("why toy")["waits_for"] == "updates"
    assert [one["why"]["waits_for"] for one in muster.json("why")["models"]] == ["idle", "updates"]
    assert muster.text("status toy").startswith("toy: collecting round 1")
    world.clock.advance(600)
    said = muster.text("why toy")
    assert "the tick has not run for 10 minutes" in said
    assert "next: muster status" in said


def test_status_says_everything_at_once(world: World, muster: Terminal) -> None:
    world.model("other", rounds=0)
    world.model()
    for device in world.devices(2):
        device.heartbeat_if_due()
    world.tick()
    world.monitor()
    text = muster.text("status toy")
    for part in ("running, 0 of 1 rounds completed", "version 0 (revision 1)", "toy.1 collecting: 0 of 3 accepted",
                 "2 active, that run this model; counted 0 s ago", "active_clients", "last hour"):  # fmt: skip
        assert part in text
    world.clock.advance(world.settings.memory_seconds)
    (device, *_) = world.devices(1)
    device.check_in()
    device.give_up("toy.1", "train", FailureReason.OUT_OF_MEMORY)
    text = muster.text("status toy")
    for part in ("0 of 3 accepted, 0 rejected, 1 failed", "out-of-memory 1"):
        assert part in text
    assert "out-of-memory 1" in muster.text("round show toy")
    assert muster.json("round list toy")[0]["failed"] == {"out-of-memory": 1}
    world.clock.advance(240)
    text = muster.text("status")
    of_models, of_the_fleet = text.split("the whole fleet, of all models (counted 4 min ago, ")
    assert "2 active, that run this model; counted 4 min ago" in of_models
    assert "0 active, that run this model; counted 4 min ago" in of_models, "the other model has none of them"
    assert "clients (whole fleet)" in of_models
    assert "enrolled" not in of_models, "what is the fleet's is not told as a model's"
    assert "2 enrolled, 2 active, 0 revoked" in of_the_fleet
    everything = muster.json("status")
    assert [status["model"] for status in everything] == ["other", "toy"]
    assert "other" in muster.text("status")


def test_training_that_is_done_is_completed_and_no_longer_running(world: World, muster: Terminal) -> None:
    world.model(rounds=1, goal=2, quorum=2, evaluators=1)
    devices = world.devices(2)
    world.tick()
    for device in devices:
        world.update(device)
    world.play(devices)
    world.model("other", rounds=2)
    world.model("third", rounds=0)
    assert "completed, 1 of 1 rounds" in muster.text("status toy")
    assert "completed, 1 of 1 rounds" in muster.text("model show toy")
    assert "running, 0 of 2 rounds completed" in muster.text("status other")
    listed = {model["model"]: model["training"] for model in muster.json("model list")}
    assert listed == {"toy": "completed", "other": "running", "third": "stopped"}
    assert [row[1] for row in columns(muster.text("model list"))[1:]] == ["running", "stopped", "completed"]
    assert "running, 1 of 2 rounds completed" in muster.text("round start toy")


def test_how_many_judges_are_asked_for_how_many_that_are_needed_is_said(world: World, muster: Terminal) -> None:
    world.model(goal=2, quorum=2, evaluators=3, over_selection=1.5)
    devices = world.devices(3)
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.deliver()
    world.tick()
    said = "0 measured it; 3 are needed, and up to 5 are asked, because some never come back"
    assert said in muster.text("status toy")
    assert said in muster.text("round show toy")
    shown = muster.json("round show toy")
    assert (shown["evaluations"], shown["judges_needed"], shown["judges_asked"]) == (0, 3, 5)
    world.clock.advance(world.settings.memory_seconds)
    world.judge(devices)
    assert "3 measured it; 3 are needed" in muster.text("round show toy")
    without = world.operator.round("toy", 1).model_copy(update={"judges_needed": 0})
    assert render.judges(without) == "none: nothing is deployed by itself"
    assert render.judges(without.model_copy(update={"judges_needed": None})) == "3 measured it", "of a server of before"


def test_gains_of_several_rounds_are_not_shown_as_if_they_could_be_compared(world: World, muster: Terminal) -> None:
    world.model(rounds=3, goal=2, quorum=2, evaluators=1)
    devices = world.devices(2)
    for number in (1, 2):
        world.tick()
        world.clock.advance(world.settings.memory_seconds)
        for device in devices:
            world.update(device)
        world.play(devices)
        world.monitor()
        for line in ("round list toy", "version list toy"):
            assert (render.OWN_JUDGES in muster.text(line)) == (number > 1), "one gain alone misleads nobody"
        said = "gain and accuracy: each round has judges of its own, so these figures do not compare rounds"
        assert (said in muster.text("status toy")) == (number > 1)
    assert "own judges" not in muster.text("round list toy --json")


def test_watching_looks_again_and_again_until_it_is_interrupted(
    world: World, muster: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(rounds=0)
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("muster.cli.monitoring.time.sleep", sleep)
    assert "toy" in muster.text("status toy --watch")
    assert looks == 3
    looks = 0
    lines = muster.text("status toy --watch --json").splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["toy"] * 3


DRY = [
    "model create new {0} --goal 1 --quorum 1", "round start toy", "round stop toy", "round abandon toy",
    "version register toy {1}",
    "deploy toy 0", "deploy toy 1", "rollback toy", "client revoke boiler-1", "client release boiler-1",
    "token mint", "token revoke TOKEN",
    "alerts ack toy active_clients", "threshold set toy loss --max 3", "threshold set toy loss --none",
]  # fmt: skip


def test_a_dry_run_says_what_would_happen_and_changes_nothing(
    world: World, muster: Terminal, base: Path, tmp_path: Path
) -> None:
    """And because it changes nothing, one world serves all lines."""
    world.model()
    world.operator.register("toy", checkpoint(1.0))
    world.operator.deploy("toy", 1, revision=1)
    minted = world.operator.mint_token(1)
    world.device(minted.token, "boiler-1")
    world.tick()
    world.monitor()
    other = tmp_path / "other.safetensors"
    other.write_bytes(checkpoint(2.0))
    before = world.everything()
    for line in DRY:
        typed = line.replace("TOKEN", minted.token_id)
        text = muster.text(f"{typed} --dry-run", base, other)
        assert text.startswith("would "), line
        assert "nothing was changed" in text, line
        found = muster.json(f"{typed} --dry-run", base, other)
        assert (found["dry_run"], found["would"] in text.replace("\n", " ")) == (True, True), line
        assert world.everything() == before, line


REFUSED = [
    ("status tox", 1, "perhaps toy", "muster model list"),
    ("why tox", 1, "perhaps toy", "muster model list"),
    ("model create toy {0} --goal 9 --quorum 1", 1, "another config", "muster model show toy"),
    ("version register toy {1}", 1, "wrong-tensors", "muster version show toy deployed"),
    ("version show toy champ", 1, "perhaps champion", "muster version list toy"),
    ("deploy toy 7", 1, "expected 0 to 0, got 7", "muster version list toy"),
    ("deploy toy 0 --revision 9", 1, "revision 1: version 0", "muster deployment list toy"),
    ("rollback toy", 1, "at most 0 steps", "muster deployment list toy"),
    ("round show toy 9", 1, "toy has had no round yet", "muster round list toy"),
    ("client show boilr", 1, "perhaps boiler-1", "muster client list"),
    ("token revoke nope", 1, "no enrolment token", "muster token list"),
    ("metrics query toy acuracy", 1, "no metric", "muster status toy"),
    ("alerts ack toy loss", 1, "no open alert", "muster alerts list toy"),
    ("model create Bad! {0} --goal 1 --quorum 1", 2, "should match pattern", "muster --help"),
    ("model create new {0} --goal 1 --quorum 2", 2, "quorum must not exceed goal", "muster --help"),
    ("client list --state lost", 2, "'lost': expected one of active, revoked", "muster --help"),
    ("client list --state actve", 2, "'actve': did you mean 'active'?", "muster --help"),
    ("version list toy --state stagd", 2, "did you mean 'staged'?", "muster --help"),
    ("deploy toy 0 --strategy cannary", 2, "did you mean 'canary'?", "muster --help"),
    ("experiment show toy x", 1, "never had an experiment 'x': expected none", "muster experiment list toy"),
    ("model configure toy --set gaol=3", 2, "nothing has that name: did you mean 'goal'?", "muster --help"),
    ("threshold set toy loss --min 3 --max 1", 2, "minimum must not exceed maximum", "muster --help"),
]
"""What is typed, the exit status, some words of what is told, and the next command."""


def test_an_error_says_what_and_why_and_the_next_command_and_nothing_changes(
    world: World, muster: Terminal, base: Path, tmp_path: Path
) -> None:
    world.model(rounds=0)
    world.device(world.token(), "boiler-1")
    misfit = tmp_path / "misfit.safetensors"
    misfit.write_bytes(encode({"w": np.zeros(3, np.float32)}))
    rows, _ = world.everything()
    for line, status, told, following in REFUSED:
        complaint = muster.fails(line, status, base, misfit)
        assert [part[:6].strip() for part in complaint.splitlines()] == ["error", "why", "next"], line
        assert told in complaint, line
        assert f"next  {following}" in complaint, line
        assert world.everything()[0] == rows, line


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a torch archive, say, and no tensor file", b"\xff" * 100])
def test_a_file_that_is_no_tensor_file_is_told(world: World, muster: Terminal, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert "error" in muster.fails("model create new {} --goal 1 --quorum 1 --dry-run", 2, path)
    assert muster("model create new {} --goal 1 --quorum 1", path).exit_code in (1, 2)
    assert muster.json("model list") == []


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_configuration_that_is_no_json_object_is_a_usage_error(
    muster: Terminal, base: Path, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    assert "--config" in muster.fails("model create new {} --config {}", 2, base, path)


def test_options_go_before_the_configuration_of_a_file(muster: Terminal, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"goal": 5, "quorum": 3, "min_gain": 0.2, "report_seconds": 60}')
    made = muster.json("model create new {} --config {} --goal 4", base, path)
    assert (made["config"]["goal"], made["config"]["quorum"], made["config"]["min_gain"]) == (4, 3, 0.2)
    assert "exists" in muster.text("model create new {} --config {} --dry-run", base, path)


def test_a_model_is_created_with_a_metric_of_its_own_and_shown_by_it(muster: Terminal, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    metric = {"name": "mse", "direction": "lower", "minimum": 0}
    path.write_text(json.dumps({"goal": 5, "quorum": 3, "metric": metric, "min_gain": 10, "max_regression": 250}))
    made = muster.json("model create new {} --config {}", base, path)
    assert made["config"]["metric"] == {"name": "mse", "direction": "lower", "minimum": 0.0, "maximum": None}
    assert "mse, lower is better; deployed above a gain of 10" in muster.text("status new")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"metric": {"name": "mse", "direction": "lower"}}, "min_gain is required with the metric mse, in its own units"),
        ({"metric": {"name": "mse", "direction": "down"}}, "metric.direction is not valid"),
        ({"metric": {"name": "mse"}}, "metric.direction is not valid"),
        ({"metric": "mse"}, "metric is not valid"),
        ({"min_gain": 1.5}, "min_gain must not exceed the largest difference in accuracy (1), got 1.5"),
    ],
)
def test_a_metric_that_cannot_decide_is_told_before_anything_is_sent(
    muster: Terminal, base: Path, tmp_path: Path, config: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"goal": 5, "quorum": 3, **config}))
    assert sentence in " ".join(muster.fails("model create new {} --config {}", 2, base, path).split())
    assert muster.json("model list") == []


@pytest.mark.parametrize(
    "line",
    ["threshold set toy loss", "threshold set toy loss --none --min 1", "version register toy {} --metric x", "nonsense"],
)
def test_a_command_that_cannot_be_understood_is_a_usage_error(world: World, muster: Terminal, base: Path, line: str) -> None:
    world.model(rounds=0)
    assert muster(line, base).exit_code == 2


def test_every_refusal_of_an_operators_route_has_a_next_command() -> None:
    refusals = {
        problem
        for path, methods in server.routes.items()
        for entry in methods.values()
        if path.startswith("/v1/admin/")
        for problem in vars(entry.view_function)["speech"].refuses
    }
    assert refusals | {Problem.FORBIDDEN} == NEXT.keys(), "which every route may meet, and a person can do something about"


def test_every_next_command_exists(muster: Terminal) -> None:
    for problem, words in NEXT.items():
        if words.startswith("muster "):
            command = words.partition(",")[0].removeprefix("muster ").split()
            path = [word for word in command if not word.startswith("{") and word != "deployed"]
            assert muster.runner.invoke(app, [*path, "--help"]).exit_code == 0, problem


@pytest.mark.parametrize("url", [None, "", "http://muster.example.org", "ftp://x"])
def test_without_an_address_or_with_one_that_would_send_signatures_in_the_clear_nothing_is_sent(url: str | None) -> None:
    with pytest.raises(NoAddress):
        Operator.connect(url or "")
    found = CliRunner().invoke(app, ["--url", url or "", "model", "list"], env={"MUSTER_URL": ""})
    assert found.exit_code == 2
    assert "muster --url http://127.0.0.1:8000" in found.stderr


def test_a_server_on_this_machine_is_asked_without_a_signature_and_any_other_with_one() -> None:
    assert Operator.connect("http://127.0.0.1:8000")._transport._auth is None
    assert Operator.connect("https://abc.execute-api.eu-north-1.amazonaws.com/v")._transport._auth is not None


def test_every_problem_that_only_operators_meet_is_explained() -> None:
    assert set(NEXT) <= set(Problem)


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from muster.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error typer is not installed\nnext  pip install 'muster-fl[operator]'\n"


def test_the_command_is_installed_and_says_its_version() -> None:
    done = subprocess.run([Path(sys.executable).with_name("muster"), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"muster {__version__}\n"
