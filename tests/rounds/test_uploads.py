"""What a device may do with its URL: put the declared bytes once. Other headers, and late PUTs, change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from chalicelib.rounds.round_id import RoundId
from muster import Device
from muster.operator.export import export
from muster.wire.arrays import decode, encode
from muster.wire.refs import digest
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.fleet import World
from tests.refusals import UPDATE


def declared(world: World, device: Device, data: bytes) -> Callable[..., int]:
    """Declare an update; what puts it under the grant, with headers of one's own, and returns the store's status."""
    body = {"bytes": len(data), "sha256": digest(data), "examples": 1}
    grant = world.request("POST", "/v1/rounds/toy.1/upload", key=world.key_of(device), body=body).json()

    def put(**headers: str) -> int:
        with world.http() as http:
            return http.put(grant["url"], content=data, headers={**grant["headers"], **headers}).status_code

    return put


def report(world: World, device: Device, data: bytes, **more: Any) -> httpx.Response:
    body = {"sha256": digest(data), **more}
    return world.request("POST", "/v1/rounds/toy.1/report", key=world.key_of(device), body=body)


def filled(value: float) -> bytes:
    return encode({**UPDATE, "layer.bias": np.full(3, value, "f4")})


def published(world: World) -> list[float]:
    content = world.operator.download(world.operator.version("toy", 1).checkpoint)
    return [float(value) for value in decode(content, HEADER_LIMIT_BYTES)["layer.bias"]]


@pytest.fixture
def device(world: World) -> Device:
    world.model(goal=1, quorum=1, evaluators=0, keep_updates=True)
    world.tick()
    (made,) = world.devices(1)
    assert made.check_in().kind == "train"
    return made


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity", "nonsense"])
def test_an_update_is_the_bytes_that_were_stored_whatever_its_encoding_header_says(
    world: World, device: Device, tmp_path: Path, encoding: str
) -> None:
    data = filled(1)
    assert declared(world, device, data)(**{"Content-Encoding": encoding}) == 200
    assert report(world, device, data).status_code == 202
    world.deliver()
    world.play()
    assert published(world) == [1, 1, 1]
    export(world.operator, "toy", 1, tmp_path / "exported")
    kept = [path for path in (tmp_path / "exported").rglob("*") if path.is_file() and path.read_bytes() == data]
    assert len(kept) == 1


def test_a_late_put_under_the_grant_of_a_declaration_that_was_replaced_is_read_by_nobody(world: World, device: Device) -> None:
    first, last = filled(1), filled(2)
    put_first = declared(world, device, first)
    put_last = declared(world, device, last)
    assert put_last() == 200
    assert put_first() == 200
    assert report(world, device, first).json()["type"].endswith("upload-mismatch")
    assert report(world, device, last).status_code == 202
    world.deliver()
    world.play()
    assert published(world) == [2, 2, 2]


def test_a_late_put_after_the_report_and_after_the_round_changes_nothing(world: World, device: Device) -> None:
    first, last = filled(1), filled(2)
    puts = [declared(world, device, filled(value)) for value in (3, 4)]
    put = declared(world, device, last)
    assert put() == 200
    assert report(world, device, last).status_code == 202
    assert (puts[0](), put()) == (200, 412)
    world.deliver()
    world.play()
    version = world.operator.version("toy", 1)
    assert (puts[1](), put()) == (200, 412)
    world.tick()
    world.deliver()
    after = world.operator.version("toy", 1)
    assert (after.checkpoint.sha256, after.state) == (version.checkpoint.sha256, version.state)
    assert published(world) == [2, 2, 2]
    assert report(world, device, first).json()["type"].endswith(("round-closed", "report-conflict"))
    assert device.receipt("toy.1").state == "accepted"


def test_a_report_with_other_metrics_conflicts_and_the_same_is_the_same(world: World, device: Device) -> None:
    data, metrics = filled(1), {"train_loss": 0.25, "tiny": 1e-300, "whole": 3.0}
    declared(world, device, data)()
    first = report(world, device, data, metrics=metrics)
    assert first.status_code == 202
    again = report(world, device, data, metrics=metrics)
    assert (again.status_code, again.json()) == (202, first.json())
    for other in ({**metrics, "train_loss": 0.26}, {"train_loss": 0.25}, {}):
        document = report(world, device, data, metrics=other).json()
        assert document["type"].endswith("report-conflict")
        assert document["expected"] == "metrics tiny 0.0, train_loss 0.25, whole 3.0"
    world.deliver()
    settled = report(world, device, data, metrics=metrics)
    assert (settled.status_code, settled.json()["state"]) == (202, "accepted")
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    assert receipt.metrics == {"train_loss": 0.25, "tiny": 0.0, "whole": 3.0}


def test_a_measurement_that_differs_is_told_in_plain_words(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=2, evaluation_quorum=2)
    world.tick()
    trainer, judge = world.devices(2)
    world.update(trainer)
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    assert judge.check_in().kind == "evaluate"

    def measured(accuracy: float) -> httpx.Response:
        body = {"round": "toy.1", "examples": 7, "metrics": {"accuracy": accuracy}}
        return world.request("POST", "/v1/models/toy/versions/1/metrics", key=world.key_of(judge), body=body)

    assert measured(0.5).status_code == measured(0.5).status_code == 202
    document = measured(0.75).json()
    assert (document["expected"], document["got"]) == ("accuracy 0.5 on 7 examples", "accuracy 0.75 on 7 examples")


@pytest.mark.parametrize("encoding", ["gzip", "br", "nonsense"])
def test_any_http_client_downloads_an_update_as_it_is_stored(world: World, encoding: str) -> None:
    """Not only the SDK, which decodes nothing: the store is asked not to say again what the device said."""
    world.model(goal=1, quorum=1, evaluators=0, keep_updates=True)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    key, data = world.key_of(device), encode({**UPDATE, "layer.bias": np.ones(3, "f4")})
    declared = {"bytes": len(data), "sha256": digest(data), "examples": 1}
    grant = world.request("POST", "/v1/rounds/toy.1/upload", key=key, body=declared).json()
    with world.http() as http:
        http.put(grant["url"], content=data, headers={**grant["headers"], "Content-Encoding": encoding})
    world.request("POST", "/v1/rounds/toy.1/report", key=key, body={"sha256": digest(data)})
    world.deliver()
    world.play()
    (file,) = [f for f in world.request("GET", "/v1/admin/models/toy/rounds/1/files").json()["files"] if f["kind"] == "update"]
    with world.http() as http:
        answer = http.get(file["url"])
    assert answer.headers.get("content-encoding", "identity") == "identity"
    assert answer.content == data
