"""The intervals of an experiment: as often as one likes, or once; they agree with what others compute, and err no oftener."""

from __future__ import annotations

import random

import pytest
import scipy.stats

from chalicelib.rollouts.effects import at_any_time, at_its_time, quantile
from chalicelib.rollouts.samples import STEPS, Sample


def drawn(draw: random.Random, number: int, mean: float, deviation: float = 0.15) -> list[int]:
    return [round(min(1.0, max(0.0, draw.gauss(mean, deviation))) * STEPS) for _ in range(number)]


@pytest.mark.parametrize("freedom", [4.0, 7.5, 24.0, 100.0, 1e6])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_quantile_is_students(freedom: float, level: float) -> None:
    assert quantile(1.0 - level / 2.0, freedom) == pytest.approx(scipy.stats.t.ppf(1.0 - level / 2.0, freedom), rel=3e-3)


def test_looked_at_once_the_interval_is_welchs_for_many() -> None:
    draw = random.Random(3)
    one, other = drawn(draw, 4_000, 0.6), drawn(draw, 1_000, 0.5, 0.2)
    low, high = at_its_time(Sample.of(one), Sample.of(other), 0.05)
    theirs = scipy.stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (low, high) == pytest.approx((theirs.low / STEPS, theirs.high / STEPS), abs=2e-4)


def test_looked_at_once_it_errs_no_oftener_than_it_says() -> None:
    draw = random.Random(5)
    wrong = 0
    for _ in range(600):
        low, high = at_its_time(Sample.of(drawn(draw, 40, 0.5)), Sample.of(drawn(draw, 60, 0.5)), 0.1)
        wrong += not low <= 0.0 <= high
    assert 0.03 <= wrong / 600 <= 0.1


def test_looked_at_again_and_again_it_still_errs_no_oftener() -> None:
    """The other one, looked at as often, finds a difference in a third of the cases where there is none."""
    draw = random.Random(6)
    wrong = [0, 0]
    for _ in range(80):
        one, other, was_wrong = drawn(draw, 600, 0.5), drawn(draw, 600, 0.5), [False, False]
        for seen in range(24, 600, 48):
            for number, interval in enumerate((at_any_time, at_its_time)):
                low, high = interval(Sample.of(one[:seen]), Sample.of(other[:seen]), 0.1)
                was_wrong[number] |= not low <= 0.0 <= high
        wrong = [count + now for count, now in zip(wrong, was_wrong, strict=True)]
    assert wrong[0] / 80 <= 0.1
    assert wrong[1] / 80 >= 0.2


def test_where_all_have_said_the_same_nothing_is_certain() -> None:
    same = Sample.of([STEPS] * 30)
    for interval in (at_any_time, at_its_time):
        low, high = interval(same, same, 0.05)
        assert low < -0.01
        assert high > 0.01
