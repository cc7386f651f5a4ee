"""`muster experiment` and `muster cohort`: tried, looked at and ended in the terminal."""

from __future__ import annotations

import pytest

from tests.fleet import World, checkpoint
from tests.operator.terminal import Terminal

START = "experiment start toy bolder --arm control=deployed:50 --arm new=1:50"


@pytest.fixture
def muster(world: World) -> Terminal:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(0.5))
    return Terminal(world)


def test_an_experiment_is_begun_looked_at_and_ended(muster: Terminal) -> None:
    assert "would begin bolder among some 0 active clients: control (version deployed)" in muster.text(START + " --dry-run")
    assert "began bolder beside version 0 of toy (revision 2)" in muster.text(START)
    assert "is deployed, beside bolder already (revision 2)" in muster.text(START)
    assert "began bolder beside version 0 of toy (revision 2)" in muster.text(START + " --revision 1")
    assert "experiments  bolder" in muster.text("status toy")
    shown = muster.text("experiment show toy bolder")
    for line in (
        "bolder, toy.r2, since",
        "accuracy, higher is better; level 0.05",
        "none: look when you like",
        "not known yet",
    ):
        assert line in shown
    assert "running" in muster.text("experiment list toy")
    assert muster.json("version show toy 1")["state"] == "on-trial"
    assert "end bolder: new: not known yet" in muster.text("experiment end toy bolder --dry-run")
    assert "ended bolder: new: not known yet (0 clients, 0 of control)" in muster.text("experiment end toy bolder")
    (over,) = muster.json("experiment list toy")
    assert (over["name"], over["experiment"]) == ("bolder", "toy.r2")
    assert "over" in muster.text("experiment list toy")
    assert "not known yet" in muster.text("experiment show toy bolder")


def test_a_cohort_is_made_revised_listed_and_used(muster: Terminal) -> None:
    made = 'cohort set beta --device-type phone --capability ram_gb={{"minimum":4}} --slice 0-20 --layer trials'
    assert "would make beta.1" in muster.text(made + " --dry-run")
    assert "cohort beta has revision 1" in muster.text(made)
    assert "cohort beta has revision 2" in muster.text("cohort set beta --slice 0-30")
    shown = muster.json("cohort show beta")
    assert (shown["revision"], shown["active"], shown["rule"]["slice"]["ends"]) == (2, None, 30.0)
    assert "beta" in muster.text("cohort list")
    assert "beta.2" in muster.text("cohort show beta")
    muster.text(START + " --cohort beta --horizon 3600 --because why")
    (running,) = muster.json("experiment list toy")
    assert running["cohort"] == "beta.2"
    assert running["horizon"] is not None


@pytest.mark.parametrize(
    ("command", "status", "complaint"),
    [
        ("experiment start toy bolder --arm new=1:50", 2, "at least 2"),
        ("experiment start toy bolder --arm a=0:50 --arm b=1", 2, "expected NAME=VERSION:PERCENT"),
        ("experiment start toy bolder --arm a=0:50 --arm b=1:40", 2, "must sum to 100, got 90"),
        (START + " --cohort bteo", 1, "muster cohort list"),
        (START + " --metric accuracy", 2, "expected JSON"),
        ("experiment show toy bolder", 1, "muster experiment list toy"),
        ("experiment end toy bolder", 1, "muster experiment list toy"),
        ("cohort set beta", 2, "give at least one of"),
        ("cohort set beta --slice 20", 2, "expected FROM-TO"),
        ("cohort set beta --capability gpu=yes", 2, "expected JSON"),
        ("cohort set beta --slice 0-20 --revision 4", 1, "muster cohort show beta"),
        ("cohort show beta", 1, "muster cohort list"),
    ],
)
def test_what_cannot_be_is_said_with_the_next_command(muster: Terminal, command: str, status: int, complaint: str) -> None:
    assert complaint in " ".join(muster.fails(command, status).split())


def test_beside_an_experiment_a_deployment_is_refused_with_the_next_command(muster: Terminal) -> None:
    muster.text(START)
    complained = " ".join(muster.fails("deploy toy 1", 1).split())
    assert "toy has experiments: bolder" in complained
    assert "muster experiment end toy NAME" in complained
