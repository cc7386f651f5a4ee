"""How soon devices are to be heard while something goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.registry.deployment import Deployment
from chalicelib.registry.rollout import Rollout
from chalicelib.rollouts.hearing import heard_within
from muster.wire.admin import Strategy
from tests.rollouts.making import T0, ref


def with_rollout(**strategy: object) -> Deployment:
    rollout = Rollout(began=2, candidate=ref(2), strategy=Strategy.model_validate(strategy), reached=T0, since=T0, share=500)
    return Deployment(model="toy", revision=2, stable=ref(1), at=T0, because="so", rollout=rollout)


@pytest.mark.parametrize(
    ("strategy", "seconds"),
    [
        ({"kind": "rolling", "steps": [5.0], "pause_seconds": 1200.0}, 1200.0),
        ({"kind": "rolling", "steps": [5.0], "pause_seconds": 9000.0, "window_seconds": 100.0, "patience": 3}, 300.0),
        ({"kind": "blue-green", "window_seconds": 100.0, "patience": 3}, 600.0),
    ],
)
def test_who_is_asked_answers_within_a_quarter_of_the_step_and_all_hear_within_half(
    strategy: dict[str, object], seconds: float
) -> None:
    going_on = with_rollout(**strategy)
    assert heard_within(going_on, T0, is_asked=True) == seconds / 4
    assert heard_within(going_on, T0, is_asked=False) == seconds / 2


def test_where_nothing_goes_on_nobody_need_be_heard() -> None:
    resting = Deployment(model="toy", revision=1, stable=ref(1), at=T0, because="so")
    assert heard_within(resting, T0 + timedelta(days=1), is_asked=True) is None
