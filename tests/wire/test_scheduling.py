"""Hyperparameters that change from round to round."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from muster.wire.admin import RoundConfig
from muster.wire.scheduling import Schedule
from muster.wire.scheduling import given as given_to

SCHEDULE: TypeAdapter[Any] = TypeAdapter(Schedule)


@pytest.mark.parametrize(
    ("says", "values"),
    [
        ({"schedule": "linear", "start": 1.0, "end": 0.0, "rounds": 5}, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        ({"schedule": "cosine", "start": 1.0, "end": 0.0, "rounds": 3}, [1.0, 0.5, 0.0, 0.0]),
        ({"schedule": "linear", "start": 1.0, "end": 0.5, "rounds": 1}, [0.5, 0.5]),
        ({"schedule": "steps", "start": 0.8, "factor": 0.5, "every": 2}, [0.8, 0.8, 0.4, 0.4, 0.2]),
        ({"schedule": "linear", "start": 1e30, "end": 1e30, "rounds": 7}, [1e30] * 8),
        ({"schedule": "table", "values": [3.0, 2.0, 1.0]}, [3.0, 2.0, 1.0, 1.0]),
    ],
)
def test_a_schedule_by_hand(says: dict[str, Any], values: list[float]) -> None:
    found = [given_to({"rate": SCHEDULE.validate_python(says)}, number)["rate"] for number in range(1, len(values) + 1)]
    assert found == pytest.approx(values, abs=1e-15)


numbers = st.floats(-1e30, 1e30)
rounds = st.integers(1, 10**6)
schedules = st.one_of(
    st.fixed_dictionaries(
        {"schedule": st.sampled_from(["linear", "cosine"]), "start": numbers, "end": numbers, "rounds": rounds}
    ),
    st.fixed_dictionaries(
        {"schedule": st.just("steps"), "start": numbers, "factor": st.floats(0, 1e3, exclude_min=True), "every": rounds}
    ),
    st.fixed_dictionaries({"schedule": st.just("table"), "values": st.lists(numbers, min_size=1, max_size=100)}),
)


@settings(max_examples=500)
@given(schedules, st.integers(1, 10**8))
def test_whatever_a_schedule_says_a_device_is_given_a_number_that_a_message_can_hold(says: Any, number: int) -> None:
    value = SCHEDULE.validate_python(says).at(number)
    assert math.isfinite(value)
    assert abs(value) <= 1e30


@pytest.mark.parametrize(
    "says",
    [
        {"schedule": "polynomial", "start": 1.0},
        {"schedule": "linear", "start": 1.0, "end": 0.0, "rounds": 0},
        {"schedule": "linear", "start": 1.0, "end": float("nan"), "rounds": 3},
        {"schedule": "steps", "start": 1.0, "factor": 0.0, "every": 2},
        {"schedule": "steps", "start": 1.0, "factor": 1e4, "every": 2},
        {"schedule": "table", "values": []},
        {"schedule": "table", "values": [0.1] * 101},
        {"schedule": "linear", "start": 1.0, "end": 0.0, "rounds": 3, "warmup": 2},
    ],
)
def test_a_schedule_that_cannot_be_is_refused(says: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RoundConfig.model_validate({"goal": 1, "quorum": 1, "hyperparameters": {"rate": says}})


def test_a_configuration_with_a_schedule_comes_back_from_its_json() -> None:
    config = RoundConfig.model_validate(
        {
            "goal": 1,
            "quorum": 1,
            "hyperparameters": {"rate": {"schedule": "table", "values": [0.5, 0.25]}, "epochs": 3, "way": "a"},
        }
    )
    assert RoundConfig.model_validate_json(config.model_dump_json()) == config


def test_a_table_of_whole_numbers_gives_whole_numbers() -> None:
    table = SCHEDULE.validate_json('{"schedule": "table", "values": [5, 3, 0.5]}')
    assert [repr(table.at(number)) for number in (1, 2, 3)] == ["5", "3", "0.5"]
