"""Signed deployments: what a device that has pinned a key runs, and what it refuses, whoever answers it."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from muster import Device
from muster.conformance import vectors
from muster.device import (
    BadSignature,
    ForeignKey,
    NotOffered,
    Replayed,
    Undeployed,
    Unsigned,
)  # fmt: skip
from muster.device.loop import Loop
from muster.device.trust import Trust, public_key, verified
from muster.wire.admin import Strategy
from muster.wire.messages import Checkpoint, Enrolled, ModelReply
from muster.wire.problems import Problem
from muster.wire.statements import Offer, Statement
from tests.fleet import API, IN_MEMORY, SESSION, Drift, World, checkpoint

KEY = ec.derive_private_key(7, ec.SECP256R1())
OTHER = ec.derive_private_key(8, ec.SECP256R1())


def shown(key: ec.EllipticCurvePrivateKey) -> str:
    """A key's public half as a device pins it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


def signature(text: str, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))).decode()


def offer(version: int) -> Offer:
    return Offer(version=version, sha256=f"{version:064x}", bytes=100 + version, document_sha256="d" * 64, parent=None)


def reply(revision: int, given: int, *offered: int, model: str = "toy", key: ec.EllipticCurvePrivateKey = KEY) -> ModelReply:
    """What a server answers that gives one version, by a revision that offers some."""
    text = Statement(model=model, revision=revision, offered=[offer(version) for version in offered]).text
    what = offer(given)
    given_as = Checkpoint(version=what.version, sha256=what.sha256, bytes=what.bytes, url="https://store.test/x")
    return ModelReply(
        model="toy", revision=revision, round=None, checkpoint=given_as, statement=text, signature=signature(text, key)
    )


PINNED = shown(KEY)
REPLIES = {revision: reply(revision, 0, 0) for revision in range(1, 7)}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


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


def test_a_statement_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match="expected a statement of toy, got one of tiny"):
        Trust(tmp_path, "toy").check(reply(1, 0, 0, model="tiny"), API, PINNED)


def test_a_statement_that_does_not_offer_what_is_given_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match=r"revision 3 offers version 0 .*, version 2 .*, the server gives version 1"):
        Trust(tmp_path, "toy").check(reply(3, 1, 0, 2), API, PINNED)


def test_what_another_key_signed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSignature):
        Trust(tmp_path, "toy").check(reply(1, 0, 0, key=OTHER), API, PINNED)


@pytest.mark.parametrize("text", ['{"format":"muster-deployment-2"}', "{}", "[]", "1", '{"revision":"1"}'])
def test_what_the_key_signed_that_is_no_statement_is_refused(text: str) -> None:
    said = reply(1, 0, 0).model_copy(update={"statement": text, "signature": signature(text)})
    with pytest.raises(BadSignature, match="no statement"):
        verified(said, "toy", PINNED)


# ---- revisions


def test_what_was_seen_counts_for_one_log_that_of_a_url_and_a_key(tmp_path: Path) -> None:
    trust = Trust(tmp_path, "toy")
    trust.check(reply(5, 0, 0), API, PINNED)
    with pytest.raises(Replayed):
        Trust(tmp_path, "toy").check(reply(4, 0, 0), API, PINNED)
    trust.check(reply(4, 0, 0), "https://restored.test", PINNED)
    trust.check(reply(2, 0, 0, key=OTHER), "https://restored.test", shown(OTHER))
    with pytest.raises(Replayed):
        trust.check(reply(1, 0, 0, key=OTHER), "https://restored.test", shown(OTHER))


def test_a_refused_answer_notes_nothing(tmp_path: Path) -> None:
    trust = Trust(tmp_path, "toy")
    with pytest.raises(NotOffered):
        trust.check(reply(9, 1, 0), API, PINNED)
    trust.check(reply(1, 0, 0), API, PINNED)


@given(st.lists(st.integers(1, 6) | st.just("restart"), max_size=12))
def test_a_revision_is_accepted_if_none_higher_was_also_over_restarts(story: list[int | str]) -> None:
    highest = 0
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        trust = Trust(Path(folder), "toy")
        for what in story:
            if isinstance(what, str):
                trust = Trust(Path(folder), "toy")
            elif what >= highest:
                trust.check(REPLIES[what], API, PINNED)
                highest = what
            else:
                with pytest.raises(Replayed):
                    trust.check(REPLIES[what], API, PINNED)


def test_a_disk_that_takes_no_note_stops_nothing_and_is_written_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    trust = Trust(tmp_path, "toy")
    with monkeypatch.context() as patch:
        patch.setattr("muster.device.trust.replace_file", full)
        trust.check(reply(5, 0, 0), API, PINNED)
        with pytest.raises(Replayed):
            trust.check(reply(4, 0, 0), API, PINNED)
    assert "in memory only" in caplog.text
    trust.check(reply(5, 0, 0), API, PINNED)
    with pytest.raises(Replayed):
        Trust(tmp_path, "toy").check(reply(4, 0, 0), API, PINNED)


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


@given(st.binary(max_size=200) | st.builds(lambda tail: base64.b64decode(PINNED)[:40] + tail, st.binary(max_size=80)))
def test_whatever_a_server_shows_as_a_key_is_one_of_p256_or_a_value_error(der: bytes) -> None:
    try:
        found = public_key(base64.b64encode(der).decode())
    except ValueError:
        return
    assert isinstance(found.curve, ec.SECP256R1)


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


# ---- the vectors of the conformance kit


@pytest.mark.parametrize("vector", vectors.load()["statements"], ids=lambda vector: str(vector["name"]))
def test_each_vector_is_what_it_says(vector: dict[str, Any]) -> None:
    said = ModelReply(
        model=vector["model"],
        revision=12,
        round=None,
        checkpoint=Checkpoint(**vector["checkpoint"], url="https://store.test/x"),
        statement=vector["statement"],
        signature=vector["signature"],
    )
    if vector["fit"]:
        assert verified(said, vector["model"], vector["signing_key"]).revision == 12
        return
    with pytest.raises(Undeployed):
        verified(said, vector["model"], vector["signing_key"])


# ---- no forgery by change

_GENUINE = reply(4, 1, 0, 1)
text = st.text(max_size=40) | st.text('{}[]:,"0123456789abcdefghijklmnopqrstuvwxyz-_', max_size=200)


@st.composite
def changed(draw: st.DrawFn, original: str) -> str:
    """A text near to the original, or another one."""
    at, upto = sorted((draw(st.integers(0, len(original))), draw(st.integers(0, len(original)))))
    return draw(
        st.sampled_from([original, original[:at], original[at:], original[:at] + original[upto:], original + original[:at]])
        | st.builds(lambda new: original[:at] + new + original[upto:], text)
        | text
    )


@given(
    version=st.integers(0, 3) | st.integers(),
    sha256=changed(_GENUINE.checkpoint.sha256),
    nbytes=st.integers(99, 103) | st.integers(),
    statement=changed(str(_GENUINE.statement)) | st.none(),
    signed=changed(str(_GENUINE.signature)) | st.none(),
)
def test_no_change_of_checkpoint_statement_and_signature_is_accepted(
    version: int, sha256: str, nbytes: int, statement: str | None, signed: str | None
) -> None:
    given_as = _GENUINE.checkpoint.model_copy(update={"version": version, "sha256": sha256, "bytes": nbytes})
    said = _GENUINE.model_copy(update={"checkpoint": given_as, "statement": statement, "signature": signed})
    genuine = {(offered.version, offered.sha256, offered.bytes) for offered in (offer(0), offer(1))}
    try:
        verified(said, "toy", PINNED)
    except Undeployed:
        return
    assert (statement, signed) == (_GENUINE.statement, _GENUINE.signature)
    assert (version, sha256, nbytes) in genuine


@given(st.integers(0, 8 * 91 - 1) | st.integers(0, 8 * 91 * 4))
def test_every_single_bit_of_the_signature_counts(bit: int) -> None:
    data = bytearray(base64.b64decode(str(_GENUINE.signature)))
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << (bit % 8)
    said = _GENUINE.model_copy(update={"signature": base64.b64encode(data).decode()})
    with pytest.raises(BadSignature):
        verified(said, "toy", PINNED)
