"""A key that is rotated away or revoked ends at once, also for places that it has taken; and a scope holds on every route."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.rounds.round_id import RoundId
from muster import Device
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.clients.enrolling import OTHER_PROOF, PROOF, beats, enrol, enrolment, rotate
from tests.fleet import Drift, Killed, World
from tests.refusals import UPDATE
from tests.rounds.refusing import refused

DATA = encode(UPDATE)
SHA256 = hashlib.sha256(DATA).hexdigest()
GRANT = {"bytes": len(DATA), "sha256": SHA256, "examples": 1}
REPORT = {"sha256": SHA256}
UPLOAD, RECEIPT = "/v1/rounds/toy.1/upload", "/v1/rounds/toy.1/report"


@pytest.fixture
def device(world: World) -> Device:
    world.model(goal=1, quorum=1)
    world.tick()
    (made,) = world.devices(1)
    return made


def upload(world: World, key: str) -> None:
    """Get a grant and put the update there."""
    grant = world.request("POST", UPLOAD, key=key, body=GRANT).json()
    with world.http() as http:
        assert http.put(grant["url"], content=DATA, headers=grant["headers"]).status_code == 200


def may_nothing(world: World, key: str) -> None:
    """Nobody with this key grants, reports or reads anything of the round."""
    for method, path, body in (("POST", UPLOAD, GRANT), ("POST", RECEIPT, REPORT), ("GET", RECEIPT, None)):
        refused(world, Problem.UNAUTHENTICATED, method, path, key=key, body=body)


def test_after_a_rotation_the_old_key_has_no_place_and_the_new_one_has_it(world: World, device: Device) -> None:
    device.check_in()
    old = world.key_of(device)
    _, reply = rotate(world, old)
    may_nothing(world, old)
    upload(world, reply["key"])
    assert world.request("POST", RECEIPT, key=reply["key"], body=REPORT).status_code == 202


def test_a_rotation_between_upload_and_report_leaves_the_report_to_the_new_key(world: World, device: Device) -> None:
    device.check_in()
    old = world.key_of(device)
    upload(world, old)
    _, reply = rotate(world, old)
    may_nothing(world, old)
    assert world.request("POST", RECEIPT, key=reply["key"], body=REPORT).status_code == 202
    may_nothing(world, old)


def meanwhile(world: World, operation: str, act: Callable[[], Any]) -> None:
    """Do something just before the next call of an operation."""

    def between(called: str, proceed: Callable[[], Any]) -> Any:
        if called == operation:
            world.calls.between = None
            act()
        return proceed()

    world.calls.between = between


@pytest.mark.parametrize(("path", "body"), [(UPLOAD, GRANT), (RECEIPT, REPORT)])
def test_a_rotation_while_the_old_key_asks_for_something_is_before_it_or_after_it(
    world: World, device: Device, path: str, body: Any
) -> None:
    device.check_in()
    old, replies = world.key_of(device), []
    upload(world, old)
    before = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    meanwhile(world, "TransactWriteItems", lambda: replies.append(rotate(world, old)))
    assert world.request("POST", path, key=old, body=body).status_code == 401
    assert world.services.rounds.receipt(RoundId("toy", 1), device.client_id) == before
    assert world.request("POST", path, key=replies[0][1]["key"], body=body).status_code < 300


def test_a_place_that_the_old_key_still_took_during_the_rotation_is_of_no_use_to_it(world: World, device: Device) -> None:
    old, replies = world.key_of(device), []
    meanwhile(world, "PutItem", lambda: replies.append(rotate(world, old)))
    assert device.check_in().kind == "train"
    may_nothing(world, old)
    upload(world, replies[0][1]["key"])


def test_a_rotation_that_died_has_ended_the_old_key_and_the_same_again_gives_the_new_one(world: World, device: Device) -> None:
    device.check_in()
    old = world.key_of(device)

    def dies(operation: str, proceed: Callable[[], Any]) -> Any:
        proceed()
        raise Killed

    world.calls.between = dies
    with pytest.raises(Killed):
        rotate(world, old)
    world.calls.between = None
    may_nothing(world, old)
    status, reply = rotate(world, old)
    assert status == 200
    upload(world, reply["key"])


def test_a_judge_whose_key_was_rotated_measures_with_the_new_one_only(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=2, evaluation_quorum=2)
    world.tick()
    trainer, judge = world.devices(2)
    world.update(trainer)
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    assert judge.check_in().kind == "evaluate"
    old = world.key_of(judge)
    path, body = "/v1/models/toy/versions/1/metrics", {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.5}}
    replies: list[Any] = []
    meanwhile(world, "TransactWriteItems", lambda: replies.append(rotate(world, old)))
    assert world.request("POST", path, key=old, body=body).status_code == 401
    refused(world, Problem.UNAUTHENTICATED, "POST", path, key=old, body=body)
    assert world.request("POST", path, key=replies[0][1]["key"], body=body).status_code == 202
    world.operator.revoke(judge.client_id)
    other = path.replace("versions/1", "versions/0")
    refused(world, Problem.UNAUTHENTICATED, "POST", other, key=replies[0][1]["key"], body=body)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_revocation_that_died_after_its_first_write_has_ended_the_key(world: World, device: Device, done: int) -> None:
    device.check_in()
    key = world.key_of(device)
    upload(world, key)
    calls: list[str] = []

    def dies(operation: str, proceed: Callable[[], Any]) -> Any:
        if "TransactWriteItems" in calls and len(calls) - calls.index("TransactWriteItems") >= done:
            raise Killed
        calls.append(operation)
        return proceed()

    world.calls.between = dies
    with pytest.raises(Killed):
        world.operator.revoke(device.client_id)
    world.calls.between = None
    may_nothing(world, key)


# ---- the first key


@pytest.mark.parametrize("end", ["expired", "revoked", "used up"])
def test_an_enrolment_whose_answer_was_lost_has_it_again_though_its_token_has_ended_since(world: World, end: str) -> None:
    minted = world.operator.mint_token(1, expires_in_seconds=60)
    first = enrol(world, enrolment(minted.token))
    assert first[0] == 201
    if end == "expired":
        world.clock.advance(60)
    elif end == "revoked":
        world.operator.revoke_token(minted.token_id)
    assert enrol(world, enrolment(minted.token)) == first
    assert enrol(world, enrolment(minted.token, proof=OTHER_PROOF))[0] in (403, 409)
    assert enrol(world, enrolment(minted.token, "another"))[0] == 403
    world.operator.revoke("thermostat-7")
    assert enrol(world, enrolment(minted.token))[0] in (403, 409)


def test_the_same_proof_with_another_token_is_another_device(world: World) -> None:
    _, first = enrol(world, enrolment(world.token()))
    status, document = enrol(world, enrolment(world.token()))
    assert (status, document["type"]) == (409, Problem.CLIENT_EXISTS.urn)
    assert beats(world, first["key"]) == 200


def test_the_first_proof_gives_nothing_any_more_once_the_key_was_rotated(world: World) -> None:
    token = world.token()
    _, first = enrol(world, enrolment(token, proof=PROOF))
    _, second = rotate(world, first["key"])
    status, document = enrol(world, enrolment(token, proof=PROOF))
    assert (status, document["type"]) == (409, Problem.CLIENT_EXISTS.urn)
    assert (beats(world, first["key"]), beats(world, second["key"])) == (401, 200)


# ---- scopes


def test_a_round_of_a_model_outside_the_scope_is_answered_like_one_that_does_not_exist(world: World) -> None:
    for name in ("toy", "secret"):
        world.model(name, goal=1, quorum=1, evaluators=2, evaluation_quorum=2)
    world.tick()
    world.deliver()
    for number, model in enumerate(("toy", "secret")):
        trainer = world.device(world.token(), f"trainer-{number}", model)
        assignment = trainer.check_in()
        assert assignment.kind == "train"
        trainer.take_part(assignment, Drift(0.1))
    world.deliver()
    rnd = world.services.rounds.latest("secret")
    assert rnd
    assert rnd.phase == "evaluating"
    token = world.operator.mint_token(1, models=["toy", "third"]).token
    key = enrol(world, enrolment(token))[1]["key"]

    def asked(model: str, round_id: str) -> list[Any]:
        found: list[Any] = []
        measured = {"round": round_id, "examples": 1, "metrics": {"accuracy": 0.5}}
        for method, path, body in (
            ("POST", f"/v1/rounds/{round_id}/upload", GRANT),
            ("POST", f"/v1/rounds/{round_id}/report", REPORT),
            ("GET", f"/v1/rounds/{round_id}/report", None),
            ("POST", f"/v1/models/{model}/versions/1/metrics", measured),
            ("POST", f"/v1/models/{model}/versions/7/metrics", measured),
            ("POST", f"/v1/models/{model}/checkin", {"reported": round_id}),
        ):
            with world.calls.count() as calls:
                document = refused(
                    world,
                    Problem.UNKNOWN_MODEL if "checkin" in path else Problem.UNKNOWN_ROUND,
                    method,
                    path,
                    key=key,
                    body=body,
                )
            found.append((document, sorted(calls)))
        return found

    there = asked("secret", "secret.1")
    nowhere = asked("nosuch", "nosuch.1")
    assert there == [
        ({**document, **{name: document[name].replace("nosuch", "secret") for name in ("detail", "got")}}, calls)
        for document, calls in nowhere
    ]
    refused(world, Problem.UNKNOWN_ROUND, "POST", "/v1/models/toy/versions/1/metrics", key=key,
            body={"round": "secret.1", "examples": 1, "metrics": {"accuracy": 0.5}})  # fmt: skip
