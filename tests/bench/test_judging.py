"""The figures of docs/judging.md, in a small simulation: what liars can and cannot do, and who is drawn."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from bench.judging.__main__ import BLOCK, FORCE, fleets, share_deployed
from bench.judging.rules import RULES, default, mean, pratt, signed_rank, weighted_mean
from bench.judging.seats import WAYS, first_come, seat
from chalicelib.rounds.devices.drawing import turn
from muster.wire.admin import RoundConfig

JUDGES = RoundConfig(goal=100, quorum=50).evaluators
LIARS = JUDGES // 5


def test_with_the_defaults_one_judge_in_five_neither_forces_nor_blocks() -> None:
    for gain in (-0.1, -0.05):
        assert share_deployed(default, fleets(400, JUDGES, gain, 0.12, 1), LIARS, FORCE) == 0.0
    assert share_deployed(default, fleets(400, JUDGES, -0.02, 0.12, 1), LIARS, FORCE) < 0.03
    assert share_deployed(default, fleets(400, JUDGES, 0.1, 0.12, 1), LIARS, BLOCK) > 0.9


def test_with_the_defaults_an_honest_fleets_good_candidates_are_deployed_nearly_always() -> None:
    assert share_deployed(default, fleets(400, JUDGES, 0.05, 0.12, 1), 0, FORCE) > 0.9
    assert share_deployed(default, fleets(400, JUDGES, 0.1, 0.12, 1), 0, FORCE) > 0.99
    assert share_deployed(default, fleets(400, JUDGES, 0.0, 0.12, 1), 0, FORCE) < 0.06


def test_what_other_rules_let_liars_do() -> None:
    bad, good = fleets(200, JUDGES, -0.05, 0.12, 1), fleets(200, JUDGES, 0.1, 0.12, 1)
    assert share_deployed(weighted_mean, bad, 1, FORCE) == 1.0, "one liar's claim was enough"
    assert share_deployed(weighted_mean, good, 1, BLOCK) == 0.0
    assert share_deployed(mean, bad, LIARS, FORCE) == 1.0
    assert share_deployed(signed_rank, good, LIARS, BLOCK) < 0.5 < share_deployed(default, good, LIARS, BLOCK)
    assert len(RULES) == 6


@pytest.mark.parametrize(
    ("differences", "p"),
    [([0.1, 0.2, 0.3], 1 / 8), ([-0.1, 0.2, 0.3], 2 / 8), ([0.0, -0.2, 0.3], 2 / 4), ([0.1, 0.1, -0.1], 4 / 8), ([0.0], 1.0)],
)
def test_the_signed_rank_test_by_hand(differences: list[float], p: float) -> None:
    assert pratt(differences) == p


def test_two_of_ten_block_a_signed_rank_test_whatever_the_others_say() -> None:
    p = pratt([0.1 + number / 100 for number in range(8)] + [-1.0, -1.0])
    assert p == 213 / 1024


def test_the_drawn_are_hostile_as_often_as_the_fleet_is_and_the_first_to_come_always() -> None:
    rng = np.random.default_rng(1)
    drawn = [seat(1_000, 200, turn, rng) for _ in range(20)]
    assert 0.12 < statistics.fmean(s.hostile / s.judges for s in drawn) < 0.28
    quickest = seat(1_000, 200, first_come, rng)
    assert quickest.hostile == quickest.judges
    assert set(WAYS.values()) == {turn, first_come}
