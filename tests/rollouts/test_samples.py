"""What devices report of a version is kept as whole numbers, from which nothing is lost but the scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from chalicelib.rollouts.samples import STEPS, Sample, Scale

ACCURACY, LATENCY = Scale(worst=0.0, best=1.0), Scale(worst=2_000.0, best=100.0)

steps = st.lists(st.integers(0, STEPS), min_size=2, max_size=60)


@pytest.mark.parametrize(
    ("scale", "value", "step"),
    [
        (ACCURACY, 0.7312, 731), (ACCURACY, 0.0, 0), (ACCURACY, 1.0, STEPS), (ACCURACY, -3.0, 0), (ACCURACY, 1e30, STEPS),
        (ACCURACY, math.nan, 0), (LATENCY, 100.0, STEPS), (LATENCY, 2_000.0, 0), (LATENCY, 1_050.0, 500), (LATENCY, 1e30, 0),
        (LATENCY, -1e30, STEPS), (LATENCY, math.inf, 0),
    ],
)  # fmt: skip
def test_a_value_counts_where_it_lies_the_better_the_higher_and_beyond_the_grid_at_its_end(
    scale: Scale, value: float, step: int
) -> None:
    assert scale.step(value) == step


@given(steps, steps)
def test_samples_are_added_in_any_order_to_the_same(one: list[int], other: list[int]) -> None:
    together = Sample.of(one + other)
    assert Sample.of(one) + Sample.of(other) == Sample.of(other) + Sample.of(one) == together
    assert len(together) == len(one) + len(other)


@given(steps)
def test_moments_are_those_of_the_numbers(found: list[int]) -> None:
    values = np.array(found) / STEPS
    sample = Sample.of(found)
    assert sample.mean() == pytest.approx(values.mean(), rel=1e-12)
    assert sample.variance() == pytest.approx(values.var(ddof=1) / len(values), rel=1e-9, abs=1e-15)


@given(st.lists(st.integers(0, STEPS), min_size=10, max_size=10))
def test_a_trimmed_mean_is_the_usual_one(found: list[int]) -> None:
    assert Sample.of(found).mean(0.2, 0.8) == pytest.approx(trim_mean(found, 0.2) / STEPS, rel=1e-12)


@given(steps, st.floats(0.0, 0.45), st.floats(0.55, 1.0))
def test_a_mean_between_quantiles_lies_among_the_numbers_and_rises_with_them(found: list[int], low: float, high: float) -> None:
    sample = Sample.of(found)
    mean = sample.mean(low, high)
    assert min(found) / STEPS <= mean * (1 + 1e-12)
    assert mean <= max(found) / STEPS * (1 + 1e-12)
    assert sample.mean(low, high - 0.05) <= mean + 1e-12 <= sample.mean(low + 0.05, high) + 2e-12


def test_between_two_quantiles_without_anybody_there_is_no_mean() -> None:
    with pytest.raises(ValueError, match=r"between the quantiles 0\.5 and 0\.5 of 2 devices"):
        Sample.of((1, 2)).mean(0.5, 0.5)
    with pytest.raises(ValueError, match="of 0 devices"):
        Sample().mean()


def test_of_one_device_the_mean_may_be_anything() -> None:
    assert Sample.of((500,)).variance() == 1.0


@pytest.mark.parametrize("step", [-1, STEPS + 1])
def test_a_step_that_no_scale_has_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=f"from 0 to 1000, got {step}"):
        Sample.of((1, step))


@pytest.mark.parametrize(("worst", "best"), [(1.0, 1.0), (0.0, math.inf), (math.nan, 1.0), (-1.7e308, 1.7e308)])
def test_a_scale_without_a_length_is_refused(worst: float, best: float) -> None:
    with pytest.raises(ValueError, match="expected two numbers apart from each other"):
        Scale(worst=worst, best=best)
