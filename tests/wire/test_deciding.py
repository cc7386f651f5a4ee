"""The metric that decides: what it may be, what a judge must report of it, and what a difference in it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.storage.rows import LARGEST
from muster.wire.admin import RoundConfig
from muster.wire.deciding import ACCURACY, LARGEST_NUMBER, DecidingMetric

MSE = DecidingMetric(name="mse", direction="lower", minimum=0.0)
MARGINS: dict[str, Any] = {"min_gain": 10.0, "max_regression": 250.0}

finite = st.floats(-LARGEST_NUMBER, LARGEST_NUMBER)


@st.composite
def any_metric(draw: st.DrawFn) -> DecidingMetric:
    low, high = sorted(draw(st.tuples(st.none() | finite, st.none() | finite)), key=lambda bound: bound or 0.0)
    try:
        return DecidingMetric(name="m", direction=draw(st.sampled_from(["higher", "lower"])), minimum=low, maximum=high)
    except ValidationError:
        return ACCURACY


def configured(**more: Any) -> RoundConfig:
    return RoundConfig.model_validate({"goal": 1, "quorum": 1, **more})


def test_accuracy_is_the_default_and_needs_not_be_described() -> None:
    assert configured().metric == ACCURACY == DecidingMetric.model_validate({"name": "accuracy", "direction": "higher"})
    assert (ACCURACY.lowest, ACCURACY.highest, ACCURACY.span, str(ACCURACY)) == (0.0, 1.0, 1.0, "accuracy, higher is better")
    assert configured(metric={"name": "accuracy", "direction": "higher"}) == configured()


def test_what_was_stored_before_there_was_a_choice_is_read_as_accuracy() -> None:
    found = RoundConfig.model_validate_json('{"goal":4,"quorum":2,"min_gain":0.02,"max_regression":0.1}')
    assert (found.metric, found.min_gain) == (ACCURACY, 0.02)
    assert RoundConfig.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ({"name": "mse"}, "direction"), ({"direction": "lower"}, "name"),
        ("mse", "valid dictionary"), (None, "valid dictionary"),
        ({"name": "MSE", "direction": "lower"}, "pattern"), ({"name": "m" * 41, "direction": "lower"}, "pattern"),
        ({"name": "mse", "direction": "down"}, "'higher' or 'lower'"),
        ({"name": "mse", "direction": "lower", "margin": 1.0}, "not permitted"),
        ({"name": "mse", "direction": "lower", "minimum": 2e30}, "less than or equal"),
        ({"name": "mse", "direction": "lower", "minimum": float("nan")}, "finite"),
        ({"name": "mse", "direction": "lower", "minimum": 1, "maximum": 1}, r"minimum must be below maximum \(1\), got 1"),
        ({"name": "mse", "direction": "lower", "minimum": 1e30}, r"minimum must be below maximum \(1e\+30\), got 1e\+30"),
        ({"name": "accuracy", "direction": "lower"}, "higher is better, from 0 to 1; expected another name .* got lower"),
        ({"name": "accuracy", "direction": "higher", "maximum": 100.0}, "got higher, from 0 to 100"),
        ({"name": "accuracy", "direction": "higher", "minimum": None}, r"got higher, from -1e\+30 to 1"),
        ({"name": "gain", "direction": "higher"}, "records something else .*, got gain"),
        ({"name": "train_loss", "direction": "lower"}, "train_….*got train_loss"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_decide_is_refused_by_a_sentence(metric: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        configured(metric=metric, **MARGINS)


def test_margins_are_in_the_metrics_own_units_and_have_no_default_there() -> None:
    given_ = {"name": "mse", "direction": "lower", "minimum": 0.0}
    assert configured(metric=given_, **MARGINS).max_regression == 250.0
    for missing in MARGINS:
        rest = {name: value for name, value in MARGINS.items() if name != missing}
        with pytest.raises(ValidationError, match=f"{missing} is required with the metric mse, in its own units"):
            configured(metric=given_, **rest)
    fraction = configured(metric={"name": "f1", "direction": "higher", "minimum": 0, "maximum": 1})
    assert (fraction.min_gain, fraction.max_regression) == (0.01, 0.05)


@pytest.mark.parametrize(
    ("metric", "margin", "why"),
    [
        ({"name": "accuracy", "direction": "higher"}, 1.5, r"largest difference in accuracy \(1\), got 1.5"),
        ({"name": "r", "direction": "higher", "minimum": -1.0, "maximum": 1.0}, 2.5, r"largest difference in r \(2\), got 2.5"),
        ({"name": "mse", "direction": "lower"}, 1e31, "less than or equal to 1000"),
        ({"name": "mse", "direction": "lower"}, float("nan"), "greater than or equal|less than or equal|finite"),
        ({"name": "mse", "direction": "lower"}, float("inf"), "less than or equal"),
        ({"name": "mse", "direction": "lower"}, -1.0, "greater than or equal to 0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["min_gain", "max_regression"])
def test_a_margin_that_no_difference_can_reach_is_refused(metric: Any, margin: float, why: str, name: str) -> None:
    with pytest.raises(ValidationError, match=why):
        configured(metric=metric, **{**dict.fromkeys(MARGINS, 0.5), name: margin})


@pytest.mark.parametrize(
    ("metrics", "unfit"),
    [
        ({"mse": 0.0}, None), ({"mse": 1e30, "loss": 1.0}, None),
        ({"mse": -1.0}, ("mse, the metric that decides, from 0 to 1e+30", "mse -1")),
        ({"loss": 1.0, "accuracy": 0.5}, ("mse, the metric that decides, from 0 to 1e+30", "accuracy, loss")),
        ({}, ("mse, the metric that decides, from 0 to 1e+30", "no metrics")),
    ],
)  # fmt: skip
def test_a_measurement_without_the_metric_or_outside_its_bounds_is_unfit(metrics: Any, unfit: Any) -> None:
    assert MSE.unfit(metrics) == unfit


def test_a_gain_is_positive_when_the_candidate_is_better_whatever_the_direction() -> None:
    assert ACCURACY.gain(0.75, 0.5) == 0.25
    assert MSE.gain(75.0, 50.0) == -25.0
    assert MSE.gain(50.0, 75.0) == 25.0
    assert MSE.gain(50.0, 50.0) == 0.0
    assert (MSE.worst, ACCURACY.worst) == (None, 0.0)
    assert DecidingMetric(name="error_rate", direction="lower", minimum=0.0, maximum=1.0).worst == 1.0


@given(any_metric(), st.data())
def test_every_gain_is_finite_fits_a_row_and_lies_between_those_of_versions_that_cannot_be_measured(
    metric: DecidingMetric, data: st.DataObject
) -> None:
    numbers = st.floats(metric.lowest, metric.highest)
    candidate, deployed = data.draw(numbers), data.draw(numbers)
    gain, worst, best = metric.gain(candidate, deployed), metric.gain(None, deployed), metric.gain(candidate, None)
    assert -LARGEST <= -metric.span == worst <= gain <= best == metric.span <= LARGEST
    assert metric.gain(None, None) == 0.0
    assert gain == -metric.gain(deployed, candidate)
    better = candidate > deployed if metric.direction == "higher" else candidate < deployed
    assert (gain > 0) == better
    assert metric.unfit({metric.name: candidate}) is None
