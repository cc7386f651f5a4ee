"""A configuration is refused whose hyperparameters no trainer would understand, in whatever round."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from muster.wire.admin import RoundConfig
from muster.wire.hyperparameters import HyperparameterSchema
from muster.wire.scheduling import Staircase
from muster.wire.scheduling import given as at_round

KNOWN: dict[str, Any] = {
    "epochs": {"type": "integer", "minimum": 1},
    "learning_rate": {"type": "number", "exclusive_minimum": 0, "maximum": 10},
    "nesterov": {"type": "boolean"},
    "kernel": {"type": "string"},
}


def config(schema: Any = KNOWN, **hyperparameters: Any) -> RoundConfig:
    return RoundConfig.model_validate(
        {"goal": 1, "quorum": 1, "hyperparameters": hyperparameters, "hyperparameter_schema": schema}
    )


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {}, {"epochs": 1}, {"learning_rate": 10}, {"learning_rate": 1e-30}, {"nesterov": False}, {"kernel": "rbf"},
        {"epochs": {"schedule": "table", "values": [1, 2, 3]}},
        {"learning_rate": {"schedule": "steps", "start": 0.1, "factor": 0.5, "every": 1}},
        {"learning_rate": {"schedule": "cosine", "start": 10.0, "end": 1e-9, "rounds": 2}},
    ],
)  # fmt: skip
def test_what_fits_is_taken(hyperparameters: dict[str, Any]) -> None:
    assert config(**hyperparameters).hyperparameters.keys() == hyperparameters.keys()


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        ({"learning_rat": 0.1}, "unknown hyperparameter 'learning_rat': did you mean 'learning_rate'?"),
        ({"x": 0.1}, "unknown hyperparameter 'x': expected one of epochs, kernel, learning_rate, nesterov"),
        ({"epochs": 0}, "hyperparameter 'epochs': expected a whole number at least 1, got 0"),
        ({"epochs": 1.5}, "hyperparameter 'epochs': expected a whole number at least 1, got 1.5"),
        ({"epochs": True}, "hyperparameter 'epochs': expected a whole number at least 1, got True"),
        ({"epochs": "2"}, "hyperparameter 'epochs': expected a whole number at least 1, got '2'"),
        ({"nesterov": 1}, "hyperparameter 'nesterov': expected true or false, got 1"),
        ({"kernel": 1}, "hyperparameter 'kernel': expected a text, got 1"),
        ({"learning_rate": 0}, "'learning_rate': expected a number more than 0 and at most 10, got 0"),
        ({"learning_rate": {"schedule": "linear", "start": 0.1, "end": 0, "rounds": 9}}, "more than 0 and at most 10, got 0.0"),
        ({"learning_rate": {"schedule": "steps", "start": 0.1, "factor": 1.1, "every": 9}}, "at most 10"),
        ({"learning_rate": {"schedule": "table", "values": [0.1, 11]}}, "got 11"),
        ({"epochs": {"schedule": "linear", "start": 1, "end": 9, "rounds": 3}}, "or a table of such"),
        ({"epochs": {"schedule": "table", "values": [1, 1.5]}}, "got 1.5"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name_with_what_was_expected_and_what_came(
    hyperparameters: dict[str, Any], said: str
) -> None:
    assert RoundConfig(goal=1, quorum=1, hyperparameters=hyperparameters), "without a schema, it is the trainer's to refuse"
    with pytest.raises(ValidationError, match=re.escape(said)):
        config(**hyperparameters)


@pytest.mark.parametrize(
    "schema",
    [
        {"x": {"type": "string", "minimum": 1}}, {"x": {"type": "boolean", "exclusive_maximum": 1}}, {"x": {"type": "int"}},
        {"x": {"type": "number", "minimum": 2, "maximum": 1}}, {"x": {"type": "number", "minimum": 1, "exclusive_maximum": 1}},
        {"x": {"type": "number", "minimum": math.nan}}, {"x": {"type": "number", "maximum": 1e31}}, {"x": {}},
        {"X": KNOWN["epochs"]}, {"x": {"type": "number", "multipleOf": 2}}, {f"x{n}": {"type": "number"} for n in range(33)},
    ],
)  # fmt: skip
def test_a_schema_that_says_nothing_sensible_is_refused(schema: Any) -> None:
    with pytest.raises(ValidationError, match="hyperparameter_schema"):
        config(schema)


def test_where_nothing_is_understood_that_is_said() -> None:
    with pytest.raises(ValidationError, match="unknown hyperparameter 'x': expected none"):
        config({}, x=1)


@given(
    st.floats(-1e30, 1e30), st.floats(1e-300, 1e3, exclude_min=True), st.integers(1, 10**6), st.lists(st.integers(1, 10**12))
)
@example(5e-324, 0.5, 1, [2, 3])
@example(1e-100, 0.5, 1, [2, 300])
@example(1e-100, 2.0, 1, [300, 10**9])
def test_between_the_extremes_of_a_staircase_lie_all_of_its_values(
    start: float, factor: float, every: int, rounds: list[int]
) -> None:
    stairs = Staircase(schedule="steps", start=start, factor=factor, every=every)
    low, high = sorted(stairs.extremes)
    for number in [1, 2, *rounds]:
        assert low <= stairs.at(number) <= high
        assert (stairs.at(number) == 0) == (start == 0)


numbers = st.one_of(st.integers(-100, 100), st.floats(-1e30, 1e30, allow_nan=False))
bounds = st.none() | numbers
schedules = st.one_of(
    st.fixed_dictionaries(
        {"schedule": st.sampled_from(["linear", "cosine"]), "start": numbers, "end": numbers, "rounds": st.integers(1, 10**6)}
    ),
    st.fixed_dictionaries(
        {"schedule": st.just("steps"), "start": numbers, "factor": st.floats(1e-3, 1e3), "every": st.integers(1, 100)}
    ),
    st.fixed_dictionaries({"schedule": st.just("table"), "values": st.lists(numbers, min_size=1, max_size=5)}),
)


@given(
    st.sampled_from(["integer", "number"]), st.fixed_dictionaries({
        "minimum": bounds, "maximum": bounds, "exclusive_minimum": bounds, "exclusive_maximum": bounds,
    }),
    numbers | schedules, st.lists(st.integers(1, 10**7), max_size=20),
)  # fmt: skip
@settings(max_examples=150)
def test_a_configuration_that_is_taken_gives_in_every_round_what_is_understood(
    kind: str, limits: dict[str, Any], value: Any, rounds: list[int]
) -> None:
    said = {"type": kind, **limits}
    try:
        taken = config({"x": said}, x=value)
    except ValidationError:
        return
    schema = HyperparameterSchema.model_validate(said)
    for number in [1, 2, 10**6, *rounds]:
        found = at_round(taken.hyperparameters, number)["x"]
        assert schema.is_of_type(found), (number, found)
        assert schema.holds(found), (number, found)
