"""How long an update may be, and a model that an earlier release let one be too long for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from chalicelib.rounds.receipt import ReceiptState
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from muster.http.errors import Refused
from muster.wire.arrays import decode, encode
from muster.wire.values import encode_update
from tests.fleet import BASE, SESSION, World

SHAPES = {name: array for name, array in BASE.items() if array.dtype.kind in "fi"}
BASE_NORM = float(np.sqrt((BASE["layer.weight"] ** 2).sum()))


def update_of(norm: float) -> bytes:
    """An update of the model `toy` whose L2 norm is this."""
    delta = {name: np.zeros_like(array) for name, array in SHAPES.items()}
    delta["layer.bias"][1] = norm
    return encode_update(delta, "plain")


def verdict(world: World, update: bytes) -> tuple[str, str | None, str | None, str | None]:
    (device,) = world.devices(1)
    assignment = device.check_in()
    assert assignment.kind == "train"
    device.submit(assignment.round, update, 5, {})
    world.deliver()
    receipt = device.receipt(assignment.round)
    return receipt.state, receipt.reason, receipt.expected, receipt.got


def test_a_models_norm_bounds_its_updates_where_the_configuration_does_not(world: World) -> None:
    world.model(goal=9)
    world.tick()
    limit = 1e4 * (1 + BASE_NORM)
    assert verdict(world, update_of(0.999 * limit))[0] == "accepted"
    expected = f"an L2 norm of at most {1e4 * (1 + float(f'{BASE_NORM:.6g}')):.6g}"
    assert verdict(world, update_of(1.001 * limit)) == ("rejected", "norm-overflow", expected, f"{1.001 * limit:.6g}")
    assert verdict(world, update_of(3e38)) == ("rejected", "norm-overflow", expected, "3e+38")


def test_a_configured_norm_goes_before_that_of_the_model(world: World) -> None:
    world.model(goal=9, max_norm=2.5)
    world.tick()
    assert verdict(world, update_of(2.5))[0] == "accepted"
    assert verdict(world, update_of(2.6)) == ("rejected", "norm-overflow", "an L2 norm of at most 2.5", "2.6")


@pytest.mark.parametrize("value", [0.0, -1.0, 1.1e30])
def test_a_configured_norm_that_bounds_nothing_is_refused(world: World, value: float) -> None:
    with pytest.raises(ValueError, match="max_norm"):
        world.model(max_norm=value)


def test_every_checkpoint_knows_its_norm_and_no_manifest_names_it(world: World) -> None:
    devices = [*world.devices(3)]
    world.model(evaluators=0)
    world.tick()
    for device in devices:
        world.update(device)
    world.deliver()
    world.play()
    registered = world.operator.register("toy", encode({**BASE, "layer.bias": np.ones(3, np.float32)}))
    registry = world.services.registry
    for number in (0, 1, registered.version):
        version = registry.version("toy", number)
        assert version
        tensors = world.operator.download(world.operator.version("toy", number).checkpoint)
        floats = [a.astype("f8") for a in decode(tensors, 1 << 20).values() if a.dtype.kind == "f"]
        assert version.checkpoint.norm == pytest.approx(float(np.sqrt(sum((a**2).sum() for a in floats))), rel=1e-5)
    objects = world.s3.list_objects_v2(Bucket=world.settings.bucket, Prefix="rounds/")["Contents"]
    for found in objects:
        body = world.s3.get_object(Bucket=world.settings.bucket, Key=found["Key"])["Body"].read()
        assert b'"norm":' in body, "those of the updates"
        assert "norm" not in json.loads(body)["base"]


def test_a_checkpoint_that_is_too_long_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="norm-overflow") as refusal:
        world.model(tensors={**BASE, "layer.bias": np.full(3, 1e38, np.float32)})
    assert (refusal.value.document.expected, refusal.value.document.got) == (
        "an L2 norm of at most 1e+30", "1.73205e+38",
    )  # fmt: skip


# ---- a model that is stuck


def spoil(world: World, client_id: str, **numbers: str) -> None:
    """Put numbers into an accepted receipt as they lie there since an earlier release: digit by digit."""
    key: Any = {name: {"S": text} for name, text in keys.RECEIPT.key(round="toy.1", client=client_id).items()}
    SESSION.client("dynamodb").update_item(
        TableName=world.settings.rounds_table,
        Key=key,
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in numbers),
        ExpressionAttributeNames={f"#{name}": name for name in numbers},
        ExpressionAttributeValues={f":{name}": {"N": digits} for name, digits in numbers.items()},
    )


@pytest.mark.parametrize("spoiled", [1, 3])
@pytest.mark.parametrize("outliers", [None, {"least": 3}])
def test_a_norm_of_39_digits_in_a_row_stops_nothing(world: World, spoiled: int, outliers: Any) -> None:
    devices = world.devices(4)
    world.model(goal=4, quorum=1, evaluators=0, outliers=outliers, rounds=2)
    world.tick()
    for device in devices[:3]:
        world.update(device)
    world.deliver()
    for device in devices[:spoiled]:
        spoil(world, device.client_id, norm="4" + "0" * 38)
    assert devices[0].receipt("toy.1").state == "accepted"
    assert world.operator.status("toy").round
    assert [rnd.accepted for rnd in world.operator.rounds("toy")] == [3]
    assert world.operator.round("toy", 1).accepted == 3
    assert world.operator.stop("toy").training.state == "stopped"
    world.operator.start("toy", 2)
    world.clock.advance(3600)
    world.tick()
    ended = world.operator.round("toy", 1)
    assert ended.finished_at
    counts = outliers is None or spoiled == 1
    assert ended.phase == ("completed" if counts else "abandoned"), ended.reason
    assert world.operator.round("toy", 2).phase == "collecting"


def test_a_round_with_a_norm_of_39_digits_can_be_abandoned(world: World) -> None:
    (device,) = world.devices(1)
    world.model()
    world.tick()
    world.update(device)
    world.deliver()
    spoil(world, device.client_id, norm="4" + "0" * 38)
    assert world.operator.abandon("toy", 1).phase == "abandoned"
    world.tick()
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    assert (receipt.state, receipt.norm) == (ReceiptState.LATE, 4e38)
