"""Encodings, from the check-in to the version: agreed upon, obeyed, summed; and what int8 leaves out is not lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from muster.http.errors import Refused
from muster.wire.arrays import decode
from muster.wire.encodings import ENCODINGS, Encoding
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES
from muster.wire.values import encode_update
from tests.fleet import BASE, Drift, World

TOLERANCE = {"plain": 1e-6, "float32": 1e-6, "float16": 1e-3, "bfloat16": 4e-3, "int8": 4e-3}


def published(world: World, number: int = 1) -> dict[str, Any]:
    return decode(world.operator.download(world.operator.version("toy", number).checkpoint), HEADER_LIMIT_BYTES)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_devices_write_updates_as_the_model_says_and_the_mean_is_theirs(world: World, encoding: Encoding) -> None:
    world.model(goal=2, quorum=2, encoding=encoding)
    devices = world.devices(2)
    world.tick()
    for number, device in enumerate(devices):
        assignment = device.check_in()
        assert assignment.kind == "train"
        assert assignment.encoding == encoding
        device.take_part(assignment, Drift(0.2 + 0.2 * number))
    world.play(devices)
    plain = BASE["layer.weight"] + 0.3 * np.cos(np.arange(12)).reshape(3, 4)
    assert np.abs(published(world)["layer.weight"] - plain).max() <= TOLERANCE[encoding]


def test_a_device_that_cannot_write_the_models_encoding_writes_plain_and_both_are_summed(world: World) -> None:
    world.model(goal=2, quorum=2, encoding="int8")
    old, new = world.devices(2)
    world.tick()
    answer = world.request("POST", "/v1/models/toy/checkin", key=old._identity.key, body={"can": ["train"]})
    assert answer.json()["encoding"] == "plain"
    update = {name: np.full_like(array, 0.5) for name, array in BASE.items() if array.dtype.kind == "f"}
    update["norm.num_batches_tracked"] = np.array(1, np.int64)
    old.submit("toy.1", encode_update(update, "plain"), 10, {})
    world.update(new, step=0.0)
    world.play([old, new])
    assert np.abs(published(world)["layer.weight"] - (BASE["layer.weight"] + 0.25)).max() < 1e-6


def test_an_update_in_another_encoding_than_the_agreed_one_is_rejected_by_its_reason(world: World) -> None:
    world.model(goal=1, quorum=1, encoding="bfloat16")
    (device,) = world.devices(1)
    world.tick()
    assert device.check_in().kind == "train"
    update = {name: np.zeros_like(array) for name, array in BASE.items() if array.dtype.kind != "b"}
    device.submit("toy.1", encode_update(update, "plain"), 10, {})
    world.deliver()
    receipt = device.receipt("toy.1")
    assert (receipt.state, receipt.reason) == ("rejected", "wrong-dtype")


def test_what_int8_leaves_out_of_one_update_is_in_the_next(world: World) -> None:
    """A change that is too small beside its block's largest one is rounded to nothing, and yet arrives in the end."""
    tiny = np.zeros(1000, np.float32)
    tiny[0], tiny[1] = 1.0, 0.001
    world.model(tensors={"w": np.zeros(1000, np.float32)}, goal=1, quorum=1, rounds=8, evaluators=0, encoding="int8")
    (device,) = world.devices(1)

    class Step:
        def train(self, base: Any, hyperparameters: Any) -> Any:
            from muster.device import TrainingResult

            return TrainingResult({"w": base["w"] + tiny}, 10)

        def evaluate(self, weights: Any) -> Any:
            raise AssertionError

    for _ in range(8):
        world.tick()
        world.clock.advance(60)
        assignment = device.check_in()
        assert assignment.kind == "train"
        device.take_part(assignment, Step())
        world.deliver()
        world.tick()
    newest = world.services.registry.newest("toy")
    assert newest
    found = published(world, newest.number)["w"]
    assert newest.number == 8
    assert found[0] == pytest.approx(8.0, rel=1e-2)
    assert 0.0 < found[1] <= 0.016, "8 times 0.001, in steps of 1/127"


def test_a_model_whose_updates_cannot_be_encoded_so_is_not_created(world: World) -> None:
    tensors = {"w": np.zeros(1, np.float32), "scale:w": np.zeros(1, np.int32)}
    with pytest.raises(Refused, match="int8") as refusal:
        world.model(tensors=tensors, encoding="int8")
    assert refusal.value.problem is Problem.CHECKPOINT_UNFIT
    world.model(tensors=tensors)


def test_rounds_in_parts_of_encoded_updates_publish_the_same_bytes() -> None:
    published = set()
    for reads in (1000, 1):
        world = World(part_reads=reads)
        try:
            world.model(goal=3, quorum=3, encoding="int8", optimizer={"name": "adam"}, clipping={"norm": 0.5})
            devices = world.devices(3)
            world.tick()
            for number, device in enumerate(devices):
                world.update(device, step=0.1 + number, examples=10 + number)
            world.play(devices)
            published.add(world.operator.version("toy", 1).checkpoint.sha256)
        finally:
            world.close()
    assert len(published) == 1
