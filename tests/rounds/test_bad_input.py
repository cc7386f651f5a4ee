"""What is wrong gets a problem document that says what was expected and what came, and nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chalicelib.rounds.round_id import RoundId
from muster import Device
from muster.device import Refused
from muster.wire import admin
from muster.wire import messages as wire
from muster.wire.arrays import decode, encode
from muster.wire.problems import MEDIA_TYPE, Problem
from muster.wire.refs import digest
from muster.wire.tensors import HEADER_LIMIT_BYTES
from muster.wire.values import encode_update
from tests import contract, refusals
from tests.fleet import World
from tests.refusals import REFUSED, REJECTED, SHOWN, UPDATE
from tests.rounds.refusing import refused

ROOT = Path(__file__).parent.parent.parent
UNKNOWN_KEY = "device-999.AAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def began(world: World) -> list[Device]:
    """A round that one update completes, and a device."""
    world.model(goal=1, quorum=1)
    world.tick()
    return world.devices(1)


@pytest.fixture
def device(world: World) -> Device:
    (made,) = world.relive(began)
    return made


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
    ("POST", "/v1/rounds/toy.1/failure", {"work": "train", "reason": "disk"}),
    ("POST", "/v1/rounds/toy.1/failure", {"work": "evaluate", "reason": "disk"}),
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

    ask(UNKNOWN_KEY)  # whoever comes first to a function instance lets it read the key that signs
    documents.clear()
    costs.clear()
    for key in (UNKNOWN_KEY, wrong, None, "not a key"):
        ask(key)
    world.operator.revoke(device.client_id)
    ask(right)
    assert all(document == documents[0] for document in documents)
    assert costs[0] == costs[1] == costs[4], "an unknown, a wrong and a revoked key cost the same requests, so the same time"


def problem_of(response: Any, problem: Problem) -> dict[str, Any]:
    """The document of a refusal, which has to be this one."""
    assert (response.status_code, response.headers["content-type"]) == (problem.kind.status, MEDIA_TYPE), response.text
    document: dict[str, Any] = response.json()
    assert (document["type"], document["title"], document["status"]) == (problem.urn, problem.kind.title, problem.kind.status)
    assert document["detail"]
    return document


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line.what)
def test_each_request_of_the_table_is_refused_with_its_word_and_changes_nothing(
    world: World, device: Device, line: refusals.Refused
) -> None:
    assert device.check_in().kind == "train"
    (other,) = world.devices(1)
    keys = {"device": world.key_of(device), "other": world.key_of(other), "nobody": None}
    before = world.everything()
    for sent in line.requests:
        response = world.request(sent.method, sent.path, key=keys[sent.who], body=sent.body, **sent.headers)
        document = problem_of(response, line.problem)
        if line.problem is not Problem.FORBIDDEN:
            assert document["expected"], sent
            assert document["got"], sent
    assert world.everything() == before


def test_each_other_line_of_the_table_is_shown_by_tests_that_exist() -> None:
    for line in SHOWN:
        for named in line.tests:
            file, _, name = named.partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(), named
    assert len({line.what for line in (*REFUSED, *REJECTED, *SHOWN)}) == len((*REFUSED, *REJECTED, *SHOWN))


def test_what_python_would_say_is_recognised() -> None:
    for text in (
        "RecursionError",
        "got None",
        "<class 'int'>",
        "Measurement(examples=1)",
        "Input should be a valid dictionary",
    ):
        assert contract.PYTHON.search(text), text
    for text in ("internal-error", "expected a number, got null", "true", "no model 'toy'", "an integer"):
        assert not contract.PYTHON.search(text), text


def test_a_number_that_a_row_can_hold_comes_back(device: Device) -> None:
    for held in (2**63 - 1, -(2**63), 10**30, 1e-30, 0.1):
        assert device.describe({"memory": held}).capabilities == {"memory": held}


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
    [pytest.param(data, line.reason, id=f"{line.reason}-{n}") for line in REJECTED for n, data in enumerate(line.updates)],
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
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
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
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
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
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    receipt = world.services.rounds.receipt(RoundId("toy", 1), devices[0].client_id)
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
