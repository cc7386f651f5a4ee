"""`muster fleet`: what it shows, sets and computes."""

from __future__ import annotations

import pytest

from tests.fleet import World
from tests.operator.terminal import Terminal


def test_paces_are_shown_set_and_refused_in_the_terminal(world: World, muster: Terminal) -> None:
    world.model()
    world.counted(clients=1000, active_by_model={"toy": 1000})
    shown = muster.text("fleet")
    for words in ("5,000 requests a second", "none", "a heartbeat every 90 min", "toy", "at any time"):
        assert words in shown
    assert "would set the bounds, revision 1" in muster.text("fleet pace --budget 100000000 --dry-run")
    set_to = muster.json("fleet pace --budget 100000000 --because so")
    assert (set_to["revision"], set_to["ceiling"], set_to["budget"], set_to["because"]) == (1, 5000.0, 100_000_000, "so")
    assert muster.json("fleet show")["budget"] == 100_000_000
    assert muster.json("fleet pace --no-budget --ceiling 100")["budget"] is None
    assert "a heartbeat every 90 min, a check-in every" in muster.text("status toy")


@pytest.mark.parametrize("options", ["", "--budget 5 --no-budget"])
def test_what_is_to_be_set_must_be_said(muster: Terminal, options: str) -> None:
    assert "--budget" in muster.fails(f"fleet pace {options}", 2)


def test_bounds_that_serve_nobody_are_refused_with_the_smallest_and_the_next_command(world: World, muster: Terminal) -> None:
    world.counted(clients=10**6)
    complained = " ".join(muster.fails("fleet pace --budget 1000", 1).split())
    assert "a budget of at least 57031250 requests a month" in complained
    assert "muster fleet plan --clients N" in complained


def test_a_plan_asks_no_server_and_says_what_could_serve(muster: Terminal) -> None:
    found = muster.json("fleet plan --clients 1000000")
    assert found["idle"]["requests_per_device_and_day"] == pytest.approx(16.0)
    assert found["serves"] is True
    assert "these bounds cannot serve" in muster.text("fleet plan --clients 1000000 --budget 1000000")
