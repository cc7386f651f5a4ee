"""Signed deployments, with a server: what a device that has pinned a key runs, and what it refuses, whoever answers it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from muster import Device
from muster.device import BadSignature, ForeignKey, Replayed, Undeployed, Unsigned
from muster.device.loop import Loop
from muster.wire.admin import Strategy
from muster.wire.messages import Enrolled, ModelReply
from muster.wire.problems import Problem
from muster.wire.statements import Offer, Statement
from tests.device.signed import KEY, OTHER, shown
from tests.fleet import API, SESSION, Drift, World, checkpoint


class Between:
    """Who stands between a device and its server, and gives another answer where it likes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.change: Callable[[ModelReply], ModelReply] | None = None
        self.replies: list[ModelReply] = []

    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.change and "if-none-match" in request.headers:
            del request.headers["if-none-match"]
        answer = self._world._answer(request)
        if request.method == "GET" and request.url.path.startswith("/v1/models/") and answer.status_code == 200:
            said = ModelReply.model_validate_json(answer.content)
            self.replies.append(said)
            if self.change:
                return httpx.Response(200, headers={"etag": '"another"'}, content=self.change(said).model_dump_json())
        return answer

    def device(self, token: str = "", name: str = "device-x") -> Device:
        folder = Path(self._world._folder.name) / name
        return Device.enrol(API, token, name, model="toy", state_dir=folder, http=self.http())


@pytest.fixture
def between(world: World) -> Between:
    """A device `device-x` that has pinned its server's key, and runs version 0; version 1 is there."""
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    between = Between(world)
    between.device(world.token())
    return between


# ---- what is accepted


def test_a_device_pins_the_key_that_its_server_shows_and_runs_what_was_signed(world: World, between: Between) -> None:
    device = between.device()
    assert device.signing_key == base64.b64encode(SESSION.client("kms").get_public_key(KeyId=key(world))["PublicKey"]).decode()
    assert device.model()[0] == 0
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(5)
    assert device.model()[0] == 1


def key(world: World) -> str:
    assert world.settings.signing_key
    return world.settings.signing_key


def test_a_rollback_to_an_older_version_is_a_newer_revision_and_accepted(world: World, between: Between) -> None:
    device = between.device()
    device.model()
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(5)
    device.model()
    world.operator.rollback("toy", revision=2)
    world.clock.advance(5)
    assert device.model()[0] == 0
    assert between.device().model()[0] == 0, "also after a restart"


def test_a_rollouts_revision_offers_both_versions_by_number(world: World, between: Between) -> None:
    world.operator.deploy("toy", 1, revision=1, strategy=Strategy(kind="rolling", steps=[50.0]))
    world.clock.advance(5)
    assert between.device().model()[0] in (0, 1)
    said = Statement.model_validate_json(str(between.replies[-1].statement))
    rows = [world.services.registry.known("toy", number) for number in (0, 1)]
    assert said.offered == [
        Offer(
            version=row.number,
            sha256=row.checkpoint.sha256,
            bytes=row.checkpoint.nbytes,
            document_sha256=row.document_sha256,
            parent=row.parent,
        )
        for row in rows
    ]
    assert (said.model, said.revision) == ("toy", 2)


def test_a_server_without_a_key_works_with_devices_as_before() -> None:
    world = World(signing_key=None)
    try:
        world.model(rounds=0)
        (device,) = world.devices(1)
        assert device.signing_key is None
        assert device.model()[0] == 0
        assert not {"Sign", "GetPublicKey"} & set(world.calls.seen)
        assert world.services.registry.present("toy").signed is None
    finally:
        world.close()


def test_a_device_that_was_enrolled_before_pins_later_and_goes_by_it(world: World, between: Between) -> None:
    unpinned = between.device()
    unpinned.keys.learn(world.key_of(unpinned), None)
    device = between.device()
    assert device.signing_key is None
    device.model()
    device.pin(shown(OTHER))
    with pytest.raises(BadSignature):
        device.model()
    device.pin(world.services._shown_key() or "")
    assert device.model()[0] == 0


def test_a_rotation_pins_where_nothing_is_pinned_and_exchanges_nothing(world: World, between: Between) -> None:
    device = between.device()
    pinned = device.signing_key
    device.keys.learn(world.key_of(device), None)
    device.rotate_key()
    assert device.signing_key == pinned
    device.pin(shown(OTHER))
    device.rotate_key()
    assert device.signing_key == shown(OTHER)


def test_what_was_given_before_a_rotation_pinned_the_key_is_held_against_it(world: World, between: Between) -> None:
    device = between.device()
    device.keys.learn(world.key_of(device), None)
    between.change = lambda said: said.model_copy(update={"signature": None})
    assert device.model()[0] == 0, "nothing is pinned"
    device.rotate_key()
    with pytest.raises(Unsigned):
        device.model()


# ---- what is refused


def flipped(text: str, at: int) -> str:
    """The text with one bit of a character other."""
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]


SPOILT: dict[str, Callable[[ModelReply], ModelReply]] = {
    "the checkpoint's digest": lambda said: said.model_copy(
        update={"checkpoint": said.checkpoint.model_copy(update={"sha256": flipped(said.checkpoint.sha256, 0)})}
    ),
    "the statement": lambda said: said.model_copy(update={"statement": flipped(str(said.statement), 30)}),
    "the signature": lambda said: said.model_copy(update={"signature": flipped(str(said.signature), 30)}),
}


@pytest.mark.parametrize("what", SPOILT)
def test_one_flipped_bit_is_refused_and_what_ran_goes_on_running(world: World, between: Between, what: str) -> None:
    device = between.device()
    device.model()
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(5)
    between.change = SPOILT[what]
    with pytest.raises(Undeployed):
        device.model()
    assert device._versions.running == 0
    between.change = None
    assert device.model()[0] == 1, "the server itself is believed again"


def test_one_flipped_bit_of_the_checkpoints_bytes_is_refused(world: World, between: Between) -> None:
    device = between.device()
    ref = world.services.registry.known("toy", 0).checkpoint
    listed = world.s3.list_objects_v2(Bucket=world.settings.bucket)["Contents"]
    (found,) = [item["Key"] for item in listed if ref.sha256 in item["Key"] and item["Size"] == ref.nbytes]
    data = bytearray(world.s3.get_object(Bucket=world.settings.bucket, Key=found)["Body"].read())
    data[-1] ^= 1
    world.s3.put_object(Bucket=world.settings.bucket, Key=found, Body=bytes(data))
    with pytest.raises(Exception, match="expected"):
        device.model()
    assert device._versions.running is None


def test_an_earlier_revision_is_refused_also_after_a_restart_of_the_device(world: World, between: Between) -> None:
    device = between.device()
    device.model()
    old = between.replies[-1]
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(5)
    device.model()
    between.change = lambda said: old
    for who in (device, between.device()):
        with pytest.raises(Replayed, match="expected revision 2 or a later one, the server gives revision 1"):
            who.model()


def test_a_version_that_stands_by_is_held_to_the_same(world: World, between: Between) -> None:
    device = between.device()
    world.operator.deploy("toy", 1, revision=1, strategy=Strategy(kind="rolling", steps=[1.0]))
    world.clock.advance(5)
    between.change = lambda said: said.model_copy(update={"signature": None})
    with pytest.raises(Unsigned):
        device._versions.stand_by(1)
    between.change = None
    device._versions.stand_by(1)


def test_a_server_that_stops_signing_is_refused_by_who_has_pinned_a_key(world: World, between: Between) -> None:
    device = between.device()
    device.model()
    world.move_to(replace(world.settings, signing_key=None))
    world.operator.deploy("toy", 1, revision=1)
    world.clock.advance(5)
    with pytest.raises(Unsigned, match="revision 2 is not signed"):
        device.model()
    (newcomer,) = world.devices(1)
    assert newcomer.model()[0] == 1


# ---- the loop


def test_the_loop_survives_what_is_not_signed_and_goes_on_with_everything_else(
    world: World, between: Between, caplog: pytest.LogCaptureFixture
) -> None:
    device = between.device()
    device.model()
    guard = {"metric": {"name": "accuracy", "direction": "higher"}, "margin": 0.2}
    strategy = Strategy.model_validate({"kind": "canary", "steps": [99], "guard": guard})
    world.operator.deploy("toy", 1, revision=1, strategy=strategy)
    world.clock.advance(5)
    between.change = lambda said: said.model_copy(update={"statement": None})
    clock = [0.0]
    device.clock = lambda: clock[0]
    loop = Loop(device, Drift(0.0))
    for _ in range(4):
        device.beat_after(0.0)
        loop.turn()
        clock[0] += 100_000.0
    assert "is not signed, and this device has pinned a key" in caplog.text
    assert device._versions.running == 0, "what ran goes on running"
    between.change = None
    assert device.model()[0] == 1


# ---- keys


def test_a_device_told_which_key_to_expect_refuses_a_server_that_shows_another_or_none(world: World, tmp_path: Path) -> None:
    world.model(rounds=0)
    token = world.token()

    def enrol(signing_key: str | None) -> Device:
        how: dict[str, Any] = {"model": "toy", "state_dir": tmp_path, "http": world.http(), "signing_key": signing_key}
        return Device.enrol(API, token, "device-y", **how)

    with pytest.raises(ForeignKey, match="shows another key"):
        enrol(shown(OTHER))
    right = world.services._shown_key()
    device = enrol(right)
    assert device.signing_key == right
    with pytest.raises(ForeignKey, match="pinned another key"):
        enrol(shown(OTHER))
    with pytest.raises(ValueError, match="base64"):
        enrol("no key!")


@pytest.mark.parametrize("bad", ["", "AAAA", "not base64!", "A" * 300, shown(KEY) + "\n", shown(KEY)[:-4]])
def test_a_key_that_is_none_is_never_pinned(world: World, tmp_path: Path, bad: str) -> None:
    world.model(rounds=0)

    def answer(request: httpx.Request) -> httpx.Response:
        said = world._answer(request)
        if request.url.path.startswith("/v1/clients"):
            spoilt = Enrolled.model_validate_json(said.content).model_copy(update={"signing_key": bad})
            return httpx.Response(said.status_code, content=spoilt.model_dump_json())
        return said

    http = httpx.Client(transport=httpx.MockTransport(answer))
    with pytest.raises(ForeignKey, match="shows a key that is none"):
        Device.enrol(API, world.token(), "device-z", model="toy", state_dir=tmp_path, http=http)


# ---- the server's side


def test_a_key_that_cannot_be_used_refuses_by_name_and_changes_nothing(world: World, between: Between) -> None:
    world.operator.deploy("toy", 1, revision=1)
    token = world.token()
    world.restart()

    def disabled(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation in ("Sign", "GetPublicKey"):
            raise ClientError({"Error": {"Code": "DisabledException", "Message": ""}}, operation)
        return proceed()

    world.calls.between = disabled
    before = world.everything()
    for path, body in {
        "/v1/admin/models/toy/deployments": {"version": "0", "revision": 2},
        "/v1/admin/models/toy/rollbacks": {"steps": 1, "revision": 2},
        "/v1/clients": {"token": token, "client_id": "late", "proof": "p" * 22, "device_type": "edge", "sdk_version": "1"},
    }.items():
        answer = world.request("POST", path, body=body)
        assert (answer.status_code, answer.json()["type"]) == (503, Problem.SIGNING_FAILED.urn), answer.text
        assert answer.json()["got"] == "KMS says Disabled"
    assert world.everything() == before
    world.calls.between = None
    assert world.operator.rollback("toy", revision=2).version == 0


def test_a_log_that_names_other_bytes_than_the_versions_row_is_signed_by_nobody(world: World, between: Between) -> None:
    table: Any = SESSION.resource("dynamodb").Table(world.settings.versions_table)
    present = world.services.registry.present("toy")
    (row,) = [item for item in table.scan()["Items"] if item.get("revision") == 1 and "stable" in item]
    row["stable"]["sha256"] = "f" * 64
    table.put_item(Item=row)
    assert world.services.registry.present("toy") != present
    answer = world.request("POST", "/v1/admin/models/toy/deployments", body={
        "version": "1", "revision": 1, "strategy": {"kind": "rolling", "steps": [50]},
    })  # fmt: skip
    assert answer.status_code == 500
    assert world.services.registry.present("toy").revision == 1
