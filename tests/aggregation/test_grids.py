"""Which grid a mean is summed on: what is usual costs nothing, what is not is seen in the manifest; what is lost is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from muster.aggregation.grids import Averaged, Grid, grids
from muster.aggregation.plan import NO_LIMITS
from muster.aggregation.registry import find_aggregator
from muster.aggregation.rules.krum import Rounding
from muster.wire.arrays import encode
from muster.wire.magnitudes import UNKNOWN
from tests.aggregation.making import Made, Tensors, frozen, rule
from tests.fleet import World


def updates(count: int, sigma: float = 0.0, dtype: str = "f4", size: int = 3000) -> list[Tensors]:
    """The same ones whenever they are asked for."""
    rng = np.random.default_rng(8)
    spread = [np.exp(sigma * rng.standard_normal(size)) for _ in range(count)]
    return [{"w": (rng.standard_normal(size) * one).astype(dtype)} for one in spread]


def grid_of(made: Made, entries: Sequence[Any] | None = None) -> Grid:
    entries = entries or made.manifest.entries
    (grid,) = grids(Averaged.of(made.manifest, entries, [made.manifest.weight(e) for e in entries]), made.schema)
    assert grid is not None
    return grid


@pytest.mark.parametrize("encoding", ["plain", "int8", "bfloat16"])
def test_ordinary_updates_have_one_grid_and_one_limb(encoding: Any) -> None:
    grid = grid_of(frozen(updates(20), encodings=[encoding]))
    assert (grid.bits is None, grid.limbs, grid.weighted, grid.lost) == (False, 1, True, 0)


def test_large_weights_are_multiplied_in_before_the_rounding() -> None:
    grid = grid_of(frozen(updates(20), examples=[10**9 - number for number in range(20)], max_examples=10**9))
    assert (grid.bits is None, grid.limbs, grid.weighted) == (False, 1, False)


def test_wide_spreads_have_a_second_limb() -> None:
    grid = grid_of(frozen(updates(20, sigma=4.0)))
    assert (grid.bits is None, grid.limbs) == (False, 2)


@pytest.mark.parametrize("at", [0, 7])
def test_a_giant_makes_a_grid_for_each_element_and_what_was_never_measured_too(at: int) -> None:
    several = updates(20)
    several[at]["w"][3] = 9e29
    assert (grid_of(frozen(several)).bits, grid_of(frozen(several)).limbs) == (None, 1)
    made = frozen(updates(20))
    unknown = [replace(entry, magnitudes=UNKNOWN) if n == at else entry for n, entry in enumerate(made.manifest.entries)]
    assert grid_of(made, unknown).bits is None


def test_a_float64_tensor_has_a_grid_for_each_element_and_two_limbs() -> None:
    grid = grid_of(frozen(updates(3, dtype="f8")))
    assert (grid.bits, grid.limbs, grid.lost) == (None, 2, 0)


def test_of_a_single_client_a_float64_models_pseudo_gradient_is_its_update_to_the_last_bit() -> None:
    (update,) = updates(1, sigma=4.0, dtype="f8")
    for examples in (1, 3, 999_983, 10**9):
        found = frozen([update], examples=[examples], max_examples=10**9).aggregate()["w"]
        assert found.tobytes() == update["w"].tobytes()


def test_a_minority_of_fine_or_coarse_updates_does_not_change_the_level_of_the_others() -> None:
    several = updates(20)
    expected = grid_of(frozen(several))
    for number in range(9):
        several[number]["w"] *= np.float32(1e-20)
    assert grid_of(frozen(several)) == expected


# ---- what is lost


def plan_of(made: Made) -> Any:
    return find_aggregator(made.manifest.aggregator).plan(made.manifest, made.schema, NO_LIMITS)


@pytest.mark.parametrize("named", [rule("mean"), rule("median"), rule("trimmed-mean", trim=2), rule("krum", byzantine=2)])
def test_giants_that_a_rule_tolerates_lose_no_bits(named: Any) -> None:
    several = updates(9)
    for giant in several[:2]:
        giant["w"][:] = 1e28
    assert plan_of(frozen(several, named)).lost_bits == 0


def test_more_giants_than_krum_tolerates_cost_the_distances_of_the_others_their_bits() -> None:
    # They are 33.2 bits longer; √3000 and the reach of 9 updates leave 15.7 bits below the root mean square of the longest.
    several = updates(9)
    for giant in several[:3]:
        giant["w"][:] = 1e10
    assert plan_of(frozen(several, rule("krum", byzantine=2))).lost_bits == 19
    assert plan_of(frozen(several, rule("krum", byzantine=3))).lost_bits == 0


def test_the_lost_bits_of_krum_by_hand() -> None:
    # 9 updates, f = 0, 2**20 elements; B = 2**20: reach = B * (3 + 2 * √18) = 2**20 * 11.49. (2**25 - 2**9) / reach is 2**1.48,
    # so values are multiplied by 2 before they are rounded. A norm of 1 is a root mean square of 2**-10, 2**-9 then: it lacks
    # 9 bits and 1.
    rounding = Rounding.of([1.0] * 8 + [2.0**20], 0, 2**20)
    assert (rounding.scale, rounding.lost_bits, any(rounding.far)) == (2.0, 10, False)


def test_lost_bits_are_a_metric_of_the_round_and_an_alert_by_default(world: World) -> None:
    world.model(
        goal=3,
        quorum=3,
        evaluators=0,
        tensors={"w": np.zeros(50, "f4")},
        aggregator=rule("krum", byzantine=0),
        max_norm=1e30,
        outliers="none",
    )
    world.tick()
    for number, device in enumerate(world.devices(3)):
        device.check_in()
        values = np.random.default_rng(number).standard_normal(50) * (1e15 if number == 1 else 1.0)
        device.submit("toy.1", encode({"w": values.astype("f4")}), 10, {})
    world.deliver()
    world.tick()
    world.monitor()
    assert world.operator.round("toy", 1).phase == "completed"
    (alert,) = [alert for alert in world.operator.alerts("toy") if alert.metric == "lost_bits"]
    assert alert.state == "open"


def test_a_round_that_loses_nothing_says_so_and_alerts_nobody(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=0, tensors={"w": np.zeros(50, "f4")})
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    device.submit("toy.1", encode({"w": np.ones(50, "f4")}), 10, {})
    world.deliver()
    world.tick()
    world.monitor()
    assert world.operator.version("toy", 1).version == 1
    assert not [alert for alert in world.operator.alerts("toy") if alert.metric == "lost_bits"]
