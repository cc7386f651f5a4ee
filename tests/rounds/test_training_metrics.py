"""What a version shows of its training is bent by no single client."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.rounds.phases.training_metrics import held_mean
from muster import Device
from muster.wire.arrays import encode
from tests.fleet import BASE, World

UPDATE = encode({name: np.zeros_like(array) for name, array in BASE.items() if array.dtype.kind != "b"})
VALUE, WEIGHT = st.floats(-1e3, 1e3), st.integers(1, 10_000)


def test_where_nobody_lies_it_is_the_mean_weighted_like_the_updates() -> None:
    assert held_mean([(1.0, 10), (2.0, 20), (3.0, 30)]) == pytest.approx((10 + 40 + 90) / 60)
    assert held_mean([(1.0, 10), (3.0, 30)]) == 2.5


@given(st.lists(st.tuples(VALUE, WEIGHT), min_size=2, max_size=15), st.data())
def test_liars_who_are_fewer_than_half_move_it_only_as_far_as_honest_values_reach(honest: list[Any], data: Any) -> None:
    liars = data.draw(st.lists(st.tuples(st.floats(-1e30, 1e30), WEIGHT), max_size=len(honest) - 1))
    values = [value for value, _ in honest]
    reach = 6 * 1.4826 * (max(values) - min(values))
    assert min(values) - reach - 1e-6 <= held_mean([*honest, *liars]) <= max(values) + reach + 1e-6


def trained(world: World, *metrics: dict[str, float], examples: tuple[int, ...] | None = None) -> dict[str, float]:
    """The metrics of the version that devices make, one for each of `metrics`."""
    world.model(goal=len(metrics), quorum=1)
    world.tick()
    devices: list[Device] = world.devices(len(metrics))
    claims = examples or (10,) * len(metrics)
    for device, reported, claim in zip(devices, metrics, claims, strict=True):
        device.check_in()
        device.submit("toy.1", UPDATE, claim, reported)
    world.deliver()
    world.tick()
    version = world.services.registry.newest("toy")
    assert version
    assert version.round == 1
    return version.metrics


def test_one_client_that_claims_a_huge_loss_and_many_examples_does_not_hide_the_others(world: World) -> None:
    found = trained(world, {"loss": 1.0}, {"loss": 1.0}, {"loss": 1.0}, {"loss": 1e30}, examples=(10, 10, 10, 10**9))
    assert found == {"loss": 1.0}


def test_one_client_neither_adds_a_metric_nor_takes_one_away(world: World) -> None:
    assert trained(world, {"loss": 1.0}, {"loss": 1.0}, {"mine": 5.0}) == {"loss": 1.0}


def test_without_a_metric_that_most_report_none_is_shown(world: World) -> None:
    assert trained(world, {"loss": 1.0}, {}, {}) == {}
