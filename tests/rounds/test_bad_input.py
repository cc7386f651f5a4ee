"""What is wrong gets a problem document that says what was expected and what came, and nothing changes."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
from typing import Any

import numpy as np
import pytest

from muster import Device
from muster.device import Refused
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.arrays import decode, encode
from muster.wire.problems import MEDIA_TYPE, Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES
from muster.wire.values import encode_update
from tests.fleet import BASE, World

UNKNOWN_KEY = "device-999.AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
UPDATE = {name: np.zeros_like(array) for name, array in BASE.items() if array.dtype != bool}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def device(world: World) -> Device:
    world.model(goal=1, quorum=1)
    world.tick()
    (made,) = world.devices(1)
    return made


def refused(world: World, problem: Problem, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The problem document of a request that must be refused with this name and change nothing."""
    before = world.everything()
    response = world.request(method, path, **request)
    document: dict[str, Any] = response.json()
    assert response.headers["content-type"] == MEDIA_TYPE
    assert (response.status_code, document["status"]) == (problem.kind.status, problem.kind.status)
    assert document["type"] == problem.urn
    assert document["title"] == problem.kind.title
    assert document["detail"]
    assert world.everything() == before
    return document


CALLS = [
    ("POST", "/v1/heartbeat", {}),
    ("POST", "/v1/heartbeat", {"model": "toy"}),
    ("PUT", "/v1/clients/me", {"sdk_version": "2.0"}),
    ("POST", "/v1/clients/me/key", {"proof": "p" * 43}),
    ("POST", "/v1/models/toy/checkin", {}),
    ("GET", "/v1/models/toy", None),
    ("POST", "/v1/rounds/toy.1/upload", {"bytes": 900, "sha256": "0" * 64, "examples": 1}),
    ("POST", "/v1/rounds/toy.1/report", {"sha256": "0" * 64}),
    ("GET", "/v1/rounds/toy.1/report", None),
    ("POST", "/v1/models/toy/versions/1/metrics", {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.5}}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_an_unknown_a_wrong_and_a_revoked_key_get_the_same_answer(
    world: World, device: Device, method: str, path: str, body: Any
) -> None:
    device.check_in()
    right = world.key_of(device)
    wrong = f"{device.client_id}.{'A' * 43}"
    documents, costs = [], []

    def ask(key: str | None) -> None:
        with world.calls.count() as calls:
            documents.append(refused(world, Problem.UNAUTHENTICATED, method, path, key=key, body=body))
        costs.append(calls)

    for key in (UNKNOWN_KEY, wrong, None, "not a key"):
        ask(key)
    world.operator.revoke(device.client_id)
    ask(right)
    assert all(document == documents[0] for document in documents)
    assert costs[0] == costs[1] == costs[4], "an unknown, a wrong and a revoked key cost the same requests, so the same time"


@pytest.mark.parametrize(
    ("body", "problem", "told"),
    [
        (b"", Problem.MALFORMED_BODY, "JSON"),
        (b"{", Problem.MALFORMED_BODY, "JSON"),
        (b"\xff\xfe", Problem.MALFORMED_BODY, "JSON"),
        (b"[]", Problem.INVALID_BODY, "body"),
        (b'{"bytes": 1}', Problem.INVALID_BODY, "sha256"),
        (b'{"bytes": "1", "sha256": "%s", "examples": 1}' % (b"0" * 64), Problem.INVALID_BODY, "bytes"),
        (b'{"bytes": 0, "sha256": "%s", "examples": 1}' % (b"0" * 64), Problem.INVALID_BODY, "bytes"),
        (b'{"bytes": 1, "sha256": "xyz", "examples": 1}', Problem.INVALID_BODY, "sha256"),
        (b'{"bytes": 1, "sha256": "%s", "examples": 0}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": -5}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": NaN}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": Infinity}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": 1e9}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": 1000000001}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": 1.5}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": "5"}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": true}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": null}' % (b"0" * 64), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": %s}' % (b"0" * 64, b"9" * 400), Problem.INVALID_BODY, "examples"),
        (b'{"bytes": 1, "sha256": "%s", "examples": %s}' % (b"0" * 64, b"9" * 5000), Problem.MALFORMED_BODY, "JSON"),
        (gzip.compress(b'{"bytes": 1}', mtime=0), Problem.MALFORMED_BODY, "JSON"),
        (b'{"bytes": 1, "sha256": "%s", "examples": 1, "more": 1}' % (b"0" * 64), Problem.INVALID_BODY, "more"),
        (b" " * (wire.BODY_LIMIT_BYTES + 1), Problem.BODY_TOO_LARGE, "large"),
    ],
)
def test_a_body_that_is_not_what_the_route_takes(
    world: World, device: Device, body: bytes, problem: Problem, told: str
) -> None:
    device.check_in()
    document = refused(world, problem, "POST", "/v1/rounds/toy.1/upload", key=world.key_of(device), body=body)
    assert told in document["detail"]
    assert document["expected"]
    assert document["got"]


def test_another_media_type_and_another_method(world: World, device: Device) -> None:
    key = world.key_of(device)
    headers = {"Content-Type": "application/octet-stream"}
    refused(world, Problem.UNSUPPORTED_MEDIA_TYPE, "POST", "/v1/heartbeat", key=key, body=b"{}", **headers)
    refused(world, Problem.FORBIDDEN, "DELETE", "/v1/heartbeat", key=key)


@pytest.mark.parametrize(
    ("problem", "method", "path", "body"),
    [
        (Problem.UNKNOWN_MODEL, "POST", "/v1/models/nosuch/checkin", {}),
        (Problem.UNKNOWN_MODEL, "GET", "/v1/models/nosuch", None),
        (Problem.UNKNOWN_ROUND, "POST", "/v1/rounds/toy.9/upload", {"bytes": 900, "sha256": "0" * 64, "examples": 1}),
        (Problem.UNKNOWN_ROUND, "POST", "/v1/rounds/nonsense/report", {"sha256": "0" * 64}),
        (Problem.UNKNOWN_ROUND, "GET", "/v1/rounds/toy.x/report", None),
        (Problem.NOT_ASSIGNED, "POST", "/v1/rounds/toy.1/upload", {"bytes": 900, "sha256": "0" * 64, "examples": 1}),
        (Problem.NOT_ASSIGNED, "POST", "/v1/rounds/toy.1/report", {"sha256": "0" * 64}),
        (Problem.NOT_ASSIGNED, "GET", "/v1/rounds/toy.1/report", None),
        (
            Problem.UNKNOWN_VERSION, "POST", "/v1/models/toy/versions/7/metrics",
            {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.5}},
        ),
        (
            Problem.UNKNOWN_ROUND, "POST", "/v1/models/other/versions/0/metrics",
            {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.5}},
        ),
        (
            Problem.NOT_ASSIGNED, "POST", "/v1/models/toy/versions/0/metrics",
            {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.5}},
        ),
    ],
)  # fmt: skip
def test_what_does_not_exist_or_is_not_the_callers(
    world: World, device: Device, problem: Problem, method: str, path: str, body: Any
) -> None:
    document = refused(world, problem, method, path, key=world.key_of(device), body=body)
    assert document["expected"]
    assert document["got"]


@pytest.mark.parametrize("metrics", [{"accuracy": 1.5}, {"accuracy": -0.1}, {"loss": 1.0}, {"accuracy": "1"}, {}])
def test_an_accuracy_is_a_fraction(world: World, device: Device, metrics: Any) -> None:
    body = {"round": "toy.1", "examples": 1, "metrics": metrics}
    refused(world, Problem.INVALID_BODY, "POST", "/v1/models/toy/versions/1/metrics", key=world.key_of(device), body=body)


@pytest.mark.parametrize(
    "path",
    ["/v1/rounds/%FF%FE/report", "/v1/rounds/toy.%C3%28/report", "/v1/rounds/toy.%D9%A1/report", "/v1/rounds/toy.1%00/report"],
)
def test_a_round_id_that_is_not_utf8_or_has_foreign_digits_is_no_round(world: World, device: Device, path: str) -> None:
    refused(world, Problem.UNKNOWN_ROUND, "GET", path, key=world.key_of(device))


@pytest.mark.parametrize("client_id", ["dévice", "device\u0000", "device 7", "-device", "ab", "d" * 65, "", "d#1", "../device"])
def test_an_id_that_is_not_plain_ascii_enrols_nobody(world: World, client_id: str) -> None:
    body = {
        "token": world.token(), "client_id": client_id, "proof": "p" * 43, "device_type": "edge", "sdk_version": "1",
    }  # fmt: skip
    refused(world, Problem.INVALID_BODY, "POST", "/v1/clients", body=json.dumps(body).encode())


def test_a_body_that_is_no_unicode_enrols_nobody(world: World) -> None:
    refused(world, Problem.MALFORMED_BODY, "POST", "/v1/clients", body=b'{"client_id": "device\xff"}')
    refused(world, Problem.MALFORMED_BODY, "POST", "/v1/clients", body=b'{"client_id": "device\\ud800"}')


@pytest.mark.parametrize("number", [10**31, 10**50, 10**400, -(10**50)])
def test_a_number_that_no_row_can_hold_is_refused_and_one_that_it_can_comes_back(
    world: World, device: Device, number: int
) -> None:
    profile = {"sdk_version": "2.0", "capabilities": {"memory": number}}
    refused(world, Problem.INVALID_BODY, "PUT", "/v1/clients/me", key=world.key_of(device), body=profile)
    for held in (2**63 - 1, -(2**63), 10**30, 1e-30, 0.1):
        assert device.describe({"memory": held}).capabilities == {"memory": held}


@pytest.mark.parametrize("length", [10, 100_000])
def test_no_grant_for_a_length_that_cannot_fit_the_model(world: World, device: Device, length: int) -> None:
    device.check_in()
    body = {"bytes": length, "sha256": "0" * 64, "examples": 1}
    document = refused(world, Problem.WRONG_LENGTH, "POST", "/v1/rounds/toy.1/upload", key=world.key_of(device), body=body)
    assert document["got"] == f"{length} bytes"
    assert " to " in document["expected"]


def test_a_report_without_an_upload_or_of_other_bytes(world: World, device: Device) -> None:
    device.check_in()
    key, data = world.key_of(device), encode(UPDATE)
    report = {"sha256": digest(data)}
    refused(world, Problem.UPLOAD_MISSING, "POST", "/v1/rounds/toy.1/report", key=key, body=report)

    grant = {"bytes": len(data), "sha256": digest(data), "examples": 1}
    granted = wire.UploadGrant.model_validate(world.request("POST", "/v1/rounds/toy.1/upload", key=key, body=grant).json())
    document = refused(world, Problem.UPLOAD_MISSING, "POST", "/v1/rounds/toy.1/report", key=key, body=report)
    assert digest(data) in document["expected"]

    device._transport.upload(granted, data)
    other = encode({**UPDATE, "layer.bias": np.ones(3, "f4")})
    grant = {"bytes": len(other), "sha256": digest(other), "examples": 1}
    world.request("POST", "/v1/rounds/toy.1/upload", key=key, body=grant)
    refused(world, Problem.UPLOAD_MISMATCH, "POST", "/v1/rounds/toy.1/report", key=key, body=report)


def test_another_report_after_the_first_conflicts_and_the_same_is_the_same(world: World, device: Device) -> None:
    device.check_in()
    first = device.submit("toy.1", encode(UPDATE), 1, {})
    report = {"sha256": digest(encode(UPDATE))}
    again = world.request("POST", "/v1/rounds/toy.1/report", key=world.key_of(device), body=report)
    assert (again.status_code, wire.ReceiptReply.model_validate(again.json())) == (202, first)
    with pytest.raises(Refused) as conflict:
        device.submit("toy.1", encode({**UPDATE, "layer.bias": np.ones(3, "f4")}), 1, {})
    assert conflict.value.problem is Problem.REPORT_CONFLICT


def test_a_device_may_declare_and_upload_other_bytes_until_it_reports_and_the_last_count(world: World, device: Device) -> None:
    device.check_in()
    first, last = (encode({**UPDATE, "layer.bias": np.full(3, value, "f4")}) for value in (1, 2))
    grant = {"bytes": len(first), "sha256": digest(first), "examples": 7}
    reply = world.request("POST", "/v1/rounds/toy.1/upload", key=world.key_of(device), body=grant)
    device._transport.upload(wire.UploadGrant.model_validate(reply.json()), first)
    device.submit("toy.1", last, 5, {})
    world.deliver()
    rnd = world.operator.round("toy", 1)
    assert (rnd.accepted, rnd.examples) == (1, 5)
    published = world.operator.download(world.operator.version("toy", 1).checkpoint)
    assert decode(published, HEADER_LIMIT_BYTES)["layer.bias"].tolist() == [2, 2, 2]


def test_an_update_counts_for_the_round_that_gave_its_base_and_for_no_other(world: World) -> None:
    world.model(goal=1, quorum=1, rounds=2, evaluators=0)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.deliver()
    world.tick()
    assert world.operator.status("toy").round.number == 2  # type: ignore[union-attr]
    data = encode(UPDATE)
    body = {"bytes": len(data), "sha256": digest(data), "examples": 1}
    key = world.key_of(device)
    refused(world, Problem.NOT_ASSIGNED, "POST", "/v1/rounds/toy.2/upload", key=key, body=body)
    refused(world, Problem.NOT_ASSIGNED, "POST", "/v1/rounds/toy.2/report", key=key, body={"sha256": digest(data)})
    refused(world, Problem.REPORT_CONFLICT, "POST", "/v1/rounds/toy.1/upload", key=key, body=body)
    world.clock.advance(world.settings.memory_seconds)
    assignment = device.check_in()
    assert assignment.kind == "train"
    assert (assignment.round, assignment.base.version) == ("toy.2", 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode({**UPDATE, "layer.bias": np.full(3, np.nan, "f4")}), "not-finite"),
        (encode({**UPDATE, "layer.bias": np.array([0, np.inf, 0], "f4")}), "not-finite"),
        (encode({**UPDATE, "layer.bias": np.array([0, -np.inf, 0], "f4")}), "not-finite"),
        (encode({**UPDATE, "norm.num_batches_tracked": np.array(1_000_001)}), "counter-overflow"),
        (encode({**UPDATE, "norm.num_batches_tracked": np.array(-(2**63))}), "counter-overflow"),
        (encode({**UPDATE, "layer.bias": np.zeros((1, 3), "f4")}), "wrong-shape"),
        (encode({**UPDATE, "layer.bias": np.zeros(1, "f4")}), "wrong-shape"),
        (encode({**UPDATE, "layer.bias": np.zeros((), "f4")}), "wrong-shape"),
        (encode({**UPDATE, "layer.bias": np.zeros(0, "f4")}), "wrong-shape"),
        (encode({**UPDATE, "layer.weight": np.zeros((4, 3), "f4")}), "wrong-shape"),
        (encode({**UPDATE, "norm.num_batches_tracked": np.array(1, "u1")}), "wrong-dtype"),
        (encode({**UPDATE, "layer.bias": np.zeros(6, "f2")}), "wrong-dtype"),
        (encode({("layer.bios" if n == "layer.bias" else n): a for n, a in UPDATE.items()}), "wrong-tensors"),
        (encode({n: a for n, a in UPDATE.items() if n != "layer.bias"}), "wrong-tensors"),
        (encode({**UPDATE, "extra": np.zeros(1, "f4")}), "wrong-tensors"),
        (encode(BASE), "wrong-tensors"),
        (pickle.dumps(UPDATE), "oversized-header"),
        (gzip.compress(encode(UPDATE), 0), "oversized-header"),
        (encode(UPDATE)[:-1], "wrong-length"),
        (encode(UPDATE) + b"\0", "wrong-length"),
        (b"\xff" * len(encode(UPDATE)), "oversized-header"),
        (len(encode(UPDATE)).to_bytes(8, "little") + b"{" * (len(encode(UPDATE)) - 8), "wrong-length"),
        ((len(encode(UPDATE)) - 8).to_bytes(8, "little") + b"{" * (len(encode(UPDATE)) - 8), "bad-header"),
    ],
)
def test_an_unfit_update_is_rejected_with_its_reason_and_the_device_learns_it(
    world: World, device: Device, data: bytes, reason: str
) -> None:
    device.check_in()
    assert device.submit("toy.1", data, 10, {}).state == "reported"
    world.deliver()

    receipt = device.receipt("toy.1")

    assert (receipt.state, receipt.reason) == ("rejected", reason)
    assert receipt.expected
    assert receipt.got
    assert world.operator.round("toy", 1).rejected == {reason: 1}
    assert world.operator.round("toy", 1).accepted == 0


def test_bytes_that_are_not_the_declared_ones_are_rejected_though_the_store_took_them(world: World, device: Device) -> None:
    device.check_in()
    key, data = world.key_of(device), encode(UPDATE)
    grant = {"bytes": len(data), "sha256": digest(data), "examples": 1}
    world.request("POST", "/v1/rounds/toy.1/upload", key=key, body=grant)
    receipt = world.services.rounds.receipt("toy.1", device.client_id)
    assert receipt
    assert receipt.declared
    other = encode({**UPDATE, "layer.bias": np.ones(3, "f4")})
    world.s3.put_object(Bucket=world.settings.bucket, Key=receipt.declared.key, Body=other)
    world.request("POST", "/v1/rounds/toy.1/report", key=key, body={"sha256": digest(data)})
    world.deliver()
    assert device.receipt("toy.1").reason == "wrong-digest"


def test_an_object_that_changed_after_its_report_is_rejected(world: World, device: Device) -> None:
    device.check_in()
    device.submit("toy.1", encode(UPDATE), 1, {})
    receipt = world.services.rounds.receipt("toy.1", device.client_id)
    assert receipt
    assert receipt.declared
    world.s3.put_object(Bucket=world.settings.bucket, Key=receipt.declared.key, Body=encode(UPDATE) + b"\0")
    world.deliver()
    assert device.receipt("toy.1").reason == "upload-changed"


def test_an_object_that_changed_after_its_acceptance_is_never_summed(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    devices = world.devices(2)
    for device in devices:
        world.update(device)
        world.services.inspector.inspect("toy.1", device.client_id)
    receipt = world.services.rounds.receipt("toy.1", devices[0].client_id)
    assert receipt
    assert receipt.declared
    poisoned = encode({**UPDATE, "layer.bias": np.full(3, np.nan, "f4")})
    world.s3.put_object(Bucket=world.settings.bucket, Key=receipt.declared.key, Body=poisoned)
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.reason) == ("abandoned", f"update-missing: of client {devices[0].client_id}")
    assert world.operator.status("toy").newest_version == 0


def test_an_update_after_close_is_refused_and_never_counted(world: World, device: Device) -> None:
    (late,) = world.devices(1)
    for each in (device, late):
        assert each.check_in().kind == "train"
    world.update(device)
    world.deliver()
    data = encode(UPDATE)
    key = world.key_of(late)
    grant = {"bytes": len(data), "sha256": digest(data), "examples": 1}
    document = refused(world, Problem.ROUND_CLOSED, "POST", "/v1/rounds/toy.1/upload", key=key, body=grant)
    assert "before" in document["expected"]
    refused(world, Problem.ROUND_CLOSED, "POST", "/v1/rounds/toy.1/report", key=key, body={"sha256": digest(data)})
    assert late.receipt("toy.1").state == "late"
    assert late.receipt("toy.1").reason == "round-closed"
    assert world.operator.round("toy", 1).accepted == 1


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        (encode({"w": np.array([np.nan], "f4")}), "not-finite"),
        (encode({"n": np.array([1], "i8")}), "wrong-tensors"),
        (encode_update({"w": np.ones(2, "f4")}, "bfloat16"), "wrong-dtype"),
        (b"not a tensor file at all", "oversized-header"),
    ],
)
def test_no_model_is_made_from_an_unfit_checkpoint(world: World, checkpoint: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        world.operator.create_model("bad", checkpoint, admin.RoundConfig(goal=1, quorum=1))
    assert refusal.value.problem is Problem.CHECKPOINT_UNFIT
    assert reason in refusal.value.document.detail
    assert world.request("GET", "/v1/admin/models/bad").status_code == 404


def test_operators_are_told_what_exists(world: World, device: Device) -> None:
    assert "toy" in refused(world, Problem.UNKNOWN_MODEL, "GET", "/v1/admin/models/tox")["expected"]
    assert "0 to 0" in refused(world, Problem.UNKNOWN_VERSION, "GET", "/v1/admin/models/toy/versions/5")["expected"]
    refused(world, Problem.UNKNOWN_VERSION, "GET", "/v1/admin/models/toy/versions/-1")
    refused(world, Problem.UNKNOWN_ROUND, "GET", "/v1/admin/models/toy/rounds/99")
    refused(world, Problem.INVALID_QUERY, "GET", "/v1/admin/models/toy/rounds?before=x")
    refused(world, Problem.INVALID_QUERY, "GET", "/v1/admin/models/toy/versions?after=1")
    refused(world, Problem.UNKNOWN_CLIENT, "POST", "/v1/admin/clients/nobody/revoke")
    missing = {"name": "new", "config": {"goal": 1, "quorum": 1}, "checkpoint": {"bytes": 10, "sha256": "0" * 64}}
    refused(world, Problem.UPLOAD_MISSING, "POST", "/v1/admin/models", body=missing)
    impossible = missing | {"config": {"goal": 1, "quorum": 2}}
    assert "quorum" in refused(world, Problem.INVALID_BODY, "POST", "/v1/admin/models", body=impossible)["detail"]


def test_a_model_is_made_once_and_the_same_again_is_the_same(world: World, device: Device) -> None:
    world.model(goal=1, quorum=1)
    assert world.operator.status("toy").newest_version == 0
    with pytest.raises(Refused) as refusal:
        world.model(goal=2, quorum=1)
    assert refusal.value.problem is Problem.MODEL_EXISTS
