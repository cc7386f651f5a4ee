"""A guard finds what is worse, soon, and calls nothing worse that is not, however often it looks and whoever lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.rollouts.fleets import Course, run, windows
from chalicelib.rollouts.guard import (
    STAKES,
    Evidence,
    Finding,
    Guard,
    _honest_mean,
    _least_honest,
    _stakes,
    boundary,
    compare,
    interval,
    split_is_broken,
)
from chalicelib.rollouts.samples import STEPS, Sample

GUARD = Guard(margin=0.02)


def after(guard: Guard, *seen: tuple[list[int], list[int]]) -> Evidence:
    evidence = Evidence()
    for candidate, stable in seen:
        evidence = evidence.after(guard, candidate, stable)
    return evidence


@pytest.mark.parametrize(
    ("information", "level", "expected"),
    [(10, 0.05, 3.4272299677), (100, 0.05, 2.7660562349), (1_000, 0.05, 3.0169853158), (100, 0.01, 3.3557264307)],
)
def test_the_boundary_is_that_of_its_authors(information: float, level: float, expected: float) -> None:
    assert boundary(information, level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("candidate", "stable"), [([], []), ([STEPS] * 9, []), ([], [0] * 900), ([STEPS] * 23, [0] * 900), ([0], [STEPS])]
)
def test_too_few_reports_are_never_good_news(candidate: list[int], stable: list[int]) -> None:
    found = compare(GUARD, after(GUARD, (candidate, stable)))
    assert (found.finding, found.low, found.high) == (Finding.OPEN, -1.0, 1.0)


def test_where_a_few_have_all_said_the_same_nothing_is_proven_yet() -> None:
    """As of failures that are rare: that 24 devices had none says little about one in fifty."""
    assert compare(GUARD, after(GUARD, ([STEPS] * 24, [STEPS] * 120))).finding is Finding.OPEN
    assert compare(GUARD, after(GUARD, ([STEPS] * 900, [STEPS] * 4_500))).finding is Finding.NOT_WORSE


def test_what_is_grossly_worse_is_found_before_the_interval_says_anything() -> None:
    found = compare(GUARD, after(GUARD, ([0] * 12, [STEPS] * 60)))
    assert (found.finding, found.low) == (Finding.WORSE, -1.0)


@pytest.mark.parametrize("kind", ["bell-shaped", "skewed", "binary"])
def test_a_sabotaged_candidate_is_found_within_two_windows(kind: str) -> None:
    ended = [run(Course(kind=kind, loss=0.5), GUARD, seed) for seed in range(9)]
    assert {one.finding for one in ended} == {Finding.WORSE}
    assert max(one.reports for one in ended) <= 24


@pytest.mark.parametrize("kind", ["bell-shaped", "skewed", "binary", "rare"])
def test_of_candidates_that_are_as_good_hardly_any_is_called_worse(kind: str) -> None:
    ended = [run(Course(kind=kind, ticks=15), Guard(margin=0.0), seed) for seed in range(20)]
    assert sum(one.finding is Finding.WORSE for one in ended) <= 1


def test_a_loss_of_five_points_is_found_and_one_within_the_margin_is_not() -> None:
    found = [run(Course(loss=0.05), Guard(margin=0.0), seed) for seed in range(9)]
    assert {one.finding for one in found} == {Finding.WORSE}
    small = [run(Course(loss=0.01, ticks=15), Guard(margin=0.03), seed) for seed in range(9)]
    assert Finding.WORSE not in {one.finding for one in small}


@pytest.mark.parametrize("lie", ["force", "block"])
def test_a_tenth_of_liars_neither_takes_back_what_is_good_nor_keeps_what_is_bad(lie: str) -> None:
    guard = Guard(margin=0.02, liars=0.1)
    good = [run(Course(liars=0.1, lie=lie, ticks=20), guard, seed) for seed in range(5)]
    bad = [run(Course(liars=0.1, lie=lie, loss=0.3, ticks=20), guard, seed) for seed in range(5)]
    assert Finding.WORSE not in {one.finding for one in good}
    assert {one.finding for one in bad} == {Finding.WORSE}


steps = st.lists(st.integers(0, STEPS), min_size=8, max_size=80)


@given(steps, st.floats(0.01, 0.25), st.data())
def test_whatever_liars_say_the_honest_ones_mean_is_where_the_guard_expects_it(
    honest: list[int], share: float, data: st.DataObject
) -> None:
    most = int(share * len(honest) / (1.0 - share))
    lies = data.draw(st.lists(st.integers(0, STEPS), max_size=most))
    low, high = _honest_mean(Sample.of([*honest, *lies]), share)
    assert low - 1e-9 <= Sample.of(honest).mean(share, 1.0 - share) <= high + 1e-9


@given(st.floats(0.0, 0.99), st.floats(0.0, 0.25), st.floats(-1.0, 1.0))
def test_no_pair_takes_all_of_the_capital_and_on_average_it_does_not_grow(margin: float, liars: float, pair: float) -> None:
    guard = Guard(margin=margin, liars=liars)
    factors = [1.0 + stake * (_least_honest(guard) - pair) for stake in _stakes(guard)]
    assert len(factors) == STAKES
    assert min(factors) > 0.0
    if pair >= _least_honest(guard):  # the mean of pairs, of which a factor is a straight line
        assert max(factors) <= 1.0


@given(steps, steps, st.randoms())
def test_the_order_of_reports_within_a_window_changes_no_interval(one: list[int], other: list[int], dice: Any) -> None:
    before = interval(Guard(margin=0.0, least=2), Sample.of(one), Sample.of(other))
    dice.shuffle(one)
    dice.shuffle(other)
    assert interval(Guard(margin=0.0, least=2), Sample.of(one), Sample.of(other)) == before
    assert -1.0 <= before[0] <= before[1] <= 1.0


@given(st.lists(st.tuples(steps, steps), max_size=4), st.floats(0.0, 0.25))
def test_whatever_is_reported_the_comparison_is_finite_and_its_interval_in_order(
    seen: list[tuple[list[int], list[int]]], liars: float
) -> None:
    guard = Guard(margin=0.0, liars=liars, least=2)
    found = compare(guard, after(guard, *seen))
    assert -1.0 <= found.low <= found.high <= 1.0
    assert math.isfinite(found.capital)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"margin": -0.1}, "margin: expected at least 0"), ({"margin": 1.0}, "margin"), ({"margin": math.nan}, "margin"),
        ({"margin": 0, "level": 0.0}, "level: expected more than 0"), ({"margin": 0, "level": 0.5}, "level"),
        ({"margin": 0, "liars": 0.3}, "liars: expected at least 0 and at most 0.25, got 0.3"),
        ({"margin": 0, "least": 1}, "least: expected at least 2, got 1"),
    ],
)  # fmt: skip
def test_a_guard_that_would_mean_nothing_is_refused(said: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Guard(**said)


@pytest.mark.parametrize(
    ("candidates", "others", "share", "broken"),
    [(0, 0, 0.05, False), (50, 950, 0.05, False), (500, 500, 0.5, False), (600, 400, 0.5, True), (100, 900, 0.05, True),
     (0, 200, 0.05, True), (10, 990, 0.05, True)],
)  # fmt: skip
def test_counts_that_no_such_split_would_give_are_seen(candidates: int, others: int, share: float, broken: bool) -> None:
    assert split_is_broken(candidates, others, share, level=0.001) is broken


def test_a_split_as_it_should_be_is_hardly_ever_called_broken_however_often_it_is_looked_at() -> None:
    wrong = 0
    for seed in range(40):
        drawn = (np.random.default_rng(seed).random(1_000) < 0.2).cumsum()
        wrong += any(split_is_broken(int(k), n + 1 - int(k), 0.2, level=0.05) for n, k in enumerate(drawn) if n % 25 == 24)
    assert wrong <= 2


def test_windows_are_the_same_for_the_same_seed() -> None:
    one, other = (list(windows(Course(ticks=3, liars=0.2), np.random.default_rng(4))) for _ in range(2))
    assert one == other


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, math.nan])
def test_a_share_that_is_no_split_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share: expected more than 0 and less than 1"):
        split_is_broken(1, 1, share, level=0.05)


@pytest.mark.parametrize("liars", [0.0, 0.1, 0.25])
def test_few_who_have_all_said_the_same_prove_little_whoever_of_them_may_lie(liars: float) -> None:
    """Of a version that fails on one device in twenty, 24 devices all say that it is well, three times in ten."""
    guard = Guard(margin=0.02, level=0.05, liars=liars, least=24)
    found = compare(guard, Evidence().after(guard, [1000] * 24, [1000] * 24))
    assert (found.finding, found.low < -0.05) == (Finding.OPEN, True)


@example(5e-324, 0.25, [0, 0])
@given(st.floats(0.0, 0.2, exclude_min=True), st.floats(0.0, 0.25), st.lists(st.integers(0, 1_000), max_size=8))
def test_a_guard_can_look_however_sure_it_has_to_be(level: float, liars: float, steps: list[int]) -> None:
    guard = Guard(margin=0.05, level=level, liars=liars, least=2)
    found = compare(guard, Evidence().after(guard, steps, steps[::-1]))
    assert -1.0 <= found.low <= found.high <= 1.0
    if level < 1e-6:
        assert found.finding is not Finding.NOT_WORSE
