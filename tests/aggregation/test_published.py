"""Everything that is published is finite and bounded, the optimizer's state too, or the round is abandoned by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from muster.aggregation.assembly import StateUnfit
from muster.aggregation.replay import replay
from muster.aggregation.server import LARGEST
from muster.wire.admin import Rule
from muster.wire.arrays import decode, encode
from muster.wire.refs import OptimizerState, StateFile, digest
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit
from tests.aggregation.making import Tensors, frozen, rule
from tests.fleet import World

ADAPTIVE = [rule("adam"), rule("yogi"), rule("adagrad")]


def published(base: bytes, update: Tensors, optimizer: Rule, state: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """What a round of one update publishes."""
    made = frozen([update], optimizer=optimizer)
    files = tuple(StateFile(letter, digest(data), len(data)) for letter, data in (state or {}).items())
    ref = replace(made.manifest.base, sha256=digest(base), nbytes=len(base))
    kept = OptimizerState(optimizer.name, 1, files) if files else None
    return replay(replace(made.manifest, base=ref, state=kept), base, state or {}, made.load)


@pytest.mark.parametrize("optimizer", ADAPTIVE, ids=lambda rule: rule.name)
def test_an_update_whose_square_no_float32_can_hold_does_not_poison_an_adaptive_optimizers_state(optimizer: Rule) -> None:
    base = encode({"w": np.zeros(4, "f4")})
    with pytest.raises(StateUnfit, match="not-finite: expected finite float32 numbers as v, got inf in 'w' at element 2"):
        published(base, {"w": np.array([0, 1, 1e22, 0], "f4")}, optimizer)


def test_a_state_that_is_poisoned_already_is_not_published_again() -> None:
    base, poisoned = encode({"w": np.zeros(2, "f4")}), encode({"w": np.array([0, np.inf], "f4")})
    state = {"m": encode({"w": np.zeros(2, "f4")}), "v": poisoned}
    with pytest.raises(StateUnfit, match="got inf in 'w' at element 1"):
        published(base, {"w": np.ones(2, "f4")}, rule("adam"), state)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_model_beyond_the_bound_is_not_published(dtype: str) -> None:
    base = encode({"w": np.array([0.0, 9.9e29], dtype)})
    step = {"w": np.array([0.0, 5e28], dtype)}
    with pytest.raises(Unfit, match=r"too-large: expected magnitudes of at most 1e\+30, got 1.04.*e\+30 in 'w' at element 1"):
        published(base, step, rule("sgd"))
    fits = decode(published(base, {"w": np.array([0.0, 5e27], dtype)}, rule("sgd"))["model"], HEADER_LIMIT_BYTES)["w"]
    assert np.abs(fits).max() <= LARGEST


@pytest.mark.parametrize("optimizer", ADAPTIVE, ids=lambda rule: rule.name)
def test_of_numbers_that_are_all_but_zero_the_step_is_finite(optimizer: Rule) -> None:
    base = encode({"w": np.zeros(3, "f4")})
    files = published(base, {"w": np.array([1e-45, -1e-45, 0.0], "f4")}, optimizer)
    again = published(files["model"], {"w": np.zeros(3, "f4")}, optimizer, {"m": files["m"], "v": files["v"]})
    for data in (*files.values(), *again.values()):
        assert np.isfinite(decode(data, HEADER_LIMIT_BYTES)["w"]).all()


def test_a_round_whose_state_would_not_be_finite_is_abandoned_by_name(world: World) -> None:
    world.model(goal=1, quorum=1, tensors={"w": np.zeros(3, "f4")}, optimizer=rule("adam"), max_norm=1e30)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    device.submit("toy.1", encode({"w": np.array([0, 1e22, 0], "f4")}), 10, {})
    world.deliver()
    rnd = world.operator.round("toy", 1)
    assert rnd.phase == "abandoned"
    assert rnd.reason is not None
    assert rnd.reason.startswith("state-unfit: not-finite")
    assert world.operator.status("toy").newest_version == 0


# ---- buffers


BUFFERED: dict[str, Any] = {"running_mean": np.zeros(2, "f4"), "bn,x": np.ones(2, "f4"), "n": np.array(1)}


def test_who_is_a_buffer_is_said_by_the_checkpoint_and_not_by_a_name() -> None:
    base = encode(BUFFERED, buffers=["bn,x", "n"])
    step = {"running_mean": np.full(2, -0.5, "f4"), "bn,x": np.full(2, -0.5, "f4"), "n": np.array(1)}
    files = published(base, step, rule("adam"))
    model, m = (decode(files[name], HEADER_LIMIT_BYTES) for name in ("model", "m"))
    assert model["bn,x"].tolist() == [0.5, 0.5], "the plain mean"
    assert (model["running_mean"] < -0.05).all(), "a step of Adam's"
    assert m.keys() == {"running_mean"}


def test_the_next_version_says_it_too() -> None:
    base = encode(BUFFERED, buffers=["bn,x"])
    step = {name: np.zeros_like(array) for name, array in BUFFERED.items()}
    first = published(base, step, rule("adam"))
    assert first["model"][: len(base) - 32] == base[: len(base) - 32], "the header, and what has not moved"
    second = published(first["model"], step, rule("adam"), {"m": first["m"], "v": first["v"]})
    assert decode(second["v"], HEADER_LIMIT_BYTES).keys() == {"running_mean"}


def test_without_a_word_every_float_tensor_is_a_parameter() -> None:
    step = {name: np.zeros_like(array) for name, array in BUFFERED.items()}
    files = published(encode(BUFFERED), step, rule("adam"))
    assert decode(files["m"], HEADER_LIMIT_BYTES).keys() == {"running_mean", "bn,x"}
