"""`muster round receipts` and `muster round judges`: who had a place in a round, and what became of it."""

from __future__ import annotations

import pytest

from tests.fleet import World
from tests.operator.terminal import Terminal
from tests.rounds.playing import judged, mixed


def test_the_places_of_a_round_are_listed_with_what_was_expected_and_what_came(world: World, muster: Terminal) -> None:
    devices = world.relive(mixed)
    shown = " ".join(muster.text("round receipts toy").split())
    assert "norm-overflow" in shown
    assert "expected" in shown
    (found,) = muster.json("round receipts toy 1 --state rejected")
    assert found["client_id"] == devices[1].client_id
    assert len(muster.json("round receipts toy 1 --limit 2")) == 2
    assert "no such receipts" in muster.text("round receipts toy --reason disk")


def test_the_judges_of_a_round_are_listed_with_what_they_measured(world: World, muster: Terminal) -> None:
    devices = world.relive(judged)
    shown = " ".join(muster.text("round judges toy").split())
    assert "accuracy" in shown
    assert "no-time" in shown
    assert len(muster.json("round judges toy 1 --limit 2")) == 2
    assert {found["client_id"] for found in muster.json("round judges toy")} == {device.client_id for device in devices}


@pytest.mark.parametrize(("options", "near"), [("--state acepted", "'accepted'"), ("--reason wrong-shap", "'wrong-shape'")])
def test_a_word_that_no_receipt_can_have_is_a_usage_error_that_names_those_it_can(
    world: World, muster: Terminal, options: str, near: str
) -> None:
    world.relive(mixed)
    assert near in " ".join(muster.fails(f"round receipts toy {options}", 2).split())
