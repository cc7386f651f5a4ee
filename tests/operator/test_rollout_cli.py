"""`muster rollout`: a rollout begun, looked at, moved and ended in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fleet import World, checkpoint
from tests.operator.terminal import Terminal


@pytest.fixture
def muster(world: World) -> Terminal:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(0.5))
    return Terminal(world)


def test_a_rollout_is_begun_looked_at_moved_and_ended(muster: Terminal) -> None:
    assert "began a rollout of version 1 of toy: 5 % of the clients (revision 2)" in muster.text("rollout start toy 1")
    shown = muster.text("rollout show toy")
    for line in (
        "toy.r2, canary",
        "version 1, 5 % of the clients",
        "1 of 2, since",
        "accuracy, higher is better; worse by 0.05",
    ):
        assert line in shown
    assert "rollout    version 1 at 5 %, canary" in muster.text("status toy")
    assert "paused the rollout of version 1 of toy, at 5 %" in muster.text("rollout pause toy --because lunch")
    assert "paused: lunch" in muster.text("status toy")
    assert "its rollout is paused already" in muster.text("rollout pause toy")
    assert "resumed the rollout of version 1 of toy, at 5 %" in muster.text("rollout resume toy")
    would = muster.text("rollout promote toy --dry-run")
    assert "would promote version 1 of toy: all clients get it; some 0 of 0 active clients (95 %) go from version 0" in would
    assert "aborted the rollout, past version 1: all clients get version 0" in muster.text("rollout abort toy")
    kinds = [one["kind"] for one in muster.json("rollout list toy")]
    assert kinds == ["aborted", "resumed", "paused", "started"]
    assert muster.json("version show toy 1")["state"] == "rolled-back"


def test_deploy_takes_a_strategy_from_options_or_from_a_file(muster: Terminal, tmp_path: Path) -> None:
    would = muster.text("deploy toy 1 --strategy rolling --steps 10,50 --pause 60 --dry-run")
    assert "would begin a rollout of version 1 of toy: 10 % of the clients; some 0 of 0 active clients (10 %) go" in would
    file = tmp_path / "strategy.json"
    file.write_text(json.dumps({"kind": "canary", "steps": [20.0], "guard": {"margin": 0.1, "liars": 0.05}}))
    made = muster.json("deploy toy 1 --strategy-file {} --steps 30", file)
    assert made["rollout"]["strategy"]["steps"] == [30.0]
    assert made["rollout"]["strategy"]["guard"]["margin"] == 0.1
    assert "promoted version 1 of toy: all clients get it" in muster.text("rollout promote toy")


def test_the_models_own_strategy_is_used_where_no_other_is_given(muster: Terminal) -> None:
    muster.text('model configure toy --set strategy={{"kind":"blue-green"}}')
    assert "began a rollout of version 1 of toy: 0 % of the clients" in muster.text("deploy toy 1")
    assert "0 of 0 clients that were asked" in muster.text("rollout show toy")
    assert muster.json("rollback toy")["left"] == [1]


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        ("rollout show toy", 1, "muster deployment list toy"),
        ("rollout promote toy", 1, "all clients of toy are given version 0"),
        ("deploy toy 1 --strategy canary --steps 25,5", 2, "nobody is sent back"),
        ("deploy toy 1 --strategy canary --steps five", 2, "expected numbers with commas between them"),
        ("deploy toy 1 --strategy green-blue", 2, "blue-green"),
        ("deploy toy 1 --strategy rolling", 2, "steps must be given with rolling"),
        ("deploy toy 1 --pause 60", 2, "kind"),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(muster: Terminal, line: str, status: int, says: str) -> None:
    assert says in " ".join(muster.fails(line, status).split())
    assert muster.json("status toy")["deployment_revision"] == 1


def test_beside_a_rollout_a_deployment_is_refused_with_the_next_command(muster: Terminal) -> None:
    muster.text("rollout start toy 1")
    complained = " ".join(muster.fails("deploy toy 1", 1).split())
    assert "version 1 of toy is being rolled out, at 5 %" in complained
    assert "muster rollout show toy" in complained


def test_a_dry_run_says_who_would_go_where(muster: Terminal, world: World) -> None:
    devices = world.devices(40)
    for device in devices:
        device.model()
        device.heartbeat_if_due()
    world.services.census.take()
    assert "no client goes to another version now" in muster.text("deploy toy 1 --strategy blue-green --dry-run")
    assert "some 40 of 40 active clients (100 %) go from version 0 to version 1" in muster.text("deploy toy 1 --dry-run")
    muster.text("rollout start toy 1 --strategy rolling --steps 25,50")
    assert "some 10 of 40 active clients (25 %) go from version 1 to version 0" in muster.text("rollout abort toy --dry-run")
    assert "some 30 of 40 active clients (75 %) go from version 0 to version 1" in muster.text("rollout promote toy --dry-run")
    assert "some 10 of 40 active clients (25 %) go from version 1 to version 0" in muster.text("rollback toy --dry-run")
