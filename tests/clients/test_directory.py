"""Tokens, enrolment, keys, heartbeats."""

from __future__ import annotations

import pytest

from chalicelib.clients import credentials
from chalicelib.clients.credentials import Credential
from muster.wire.problems import Problem
from tests.clients.enrolling import OTHER_PROOF, PROOF, enrol, enrolment
from tests.fleet import World


def test_an_enrolment_sent_again_gets_the_same_key_and_uses_the_token_once(world: World) -> None:
    token = world.token(uses=1)
    first = enrol(world, enrolment(token))
    assert first[0] == 201
    assert enrol(world, enrolment(token)) == first
    assert world.request("POST", "/v1/heartbeat", key=first[1]["key"], body={}).status_code == 200


@pytest.mark.parametrize("other", [{"proof": OTHER_PROOF}, {"token": "another"}])
def test_nobody_else_can_take_over_an_id(world: World, other: dict[str, str]) -> None:
    token = world.token()
    status, first = enrol(world, enrolment(token))
    body = enrolment(token) | ({"token": world.token()} if "token" in other else other)
    status, document = enrol(world, body)
    assert (status, document["type"]) == (409, Problem.CLIENT_EXISTS.urn)
    assert world.request("POST", "/v1/heartbeat", key=first["key"], body={}).status_code == 200


def test_a_token_admits_exactly_as_many_clients_as_it_has_uses(world: World) -> None:
    token = world.token(uses=3)
    statuses = [enrol(world, enrolment(token, f"client-{number}"))[0] for number in range(5)]
    assert statuses == [201, 201, 201, 403, 403]
    assert enrol(world, enrolment(token, "client-1"))[0] == 201


def test_a_token_that_is_expired_unknown_or_wrong_admits_nobody(world: World) -> None:
    token = world.operator.mint_token(5, expires_in_seconds=60).token
    public, _, secret = token.partition(".")
    answers = [enrol(world, enrolment(text)) for text in (f"{public}.{secret[::-1]}", f"{public[::-1]}.{secret}")]
    world.clock.advance(60)
    answers.append(enrol(world, enrolment(token)))
    assert [status for status, _ in answers] == [403] * 3
    assert answers[0] == answers[1] == answers[2]
    assert [key for key in world.everything()[0] if "client#" in key] == []


def test_a_revoked_client_cannot_enrol_again(world: World) -> None:
    token = world.token()
    enrol(world, enrolment(token))
    world.operator.revoke("thermostat-7")
    assert enrol(world, enrolment(token))[0] == 409


def test_no_secret_is_stored(world: World) -> None:
    token = world.token()
    _, reply = enrol(world, enrolment(token))
    stored = str(world.everything()[0])
    for text in (token, reply["key"]):
        assert text.partition(".")[2] not in stored
    assert PROOF not in stored


def test_a_heartbeat_is_one_conditional_write_and_tells_what_waits(world: World) -> None:
    world.model(goal=1, quorum=1, rounds=0)
    (device,) = world.devices(1)
    before = world.services.clients.get(device.client_id)
    assert before
    world.clock.advance(100)
    reply = device.heartbeat_if_due()
    assert reply
    assert (reply.work, reply.newer_version) == (False, 0)
    after = world.services.clients.get(device.client_id)
    assert after
    assert after.last_seen_at == world.clock() > before.last_seen_at
    assert device.heartbeat_if_due() is None
    world.operator.start("toy", 1)
    world.tick()
    world.clock.advance(60)
    version, arrays = device.model()
    assert version == 0
    assert arrays.keys() >= {"layer.weight"}
    beat = world.request("POST", "/v1/heartbeat", key=world.key_of(device), body={"model": "toy", "version": 0})
    assert beat.json() == {"next_heartbeat_seconds": 900.0, "drawn": True, "work": True, "newer_version": None, "asks": None}


def test_a_model_that_the_device_has_is_not_sent_again(world: World) -> None:
    world.model()
    (device,) = world.devices(1)
    key = world.key_of(device)
    first = world.request("GET", "/v1/models/toy", key=key)
    again = world.request("GET", "/v1/models/toy", key=key, **{"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize("header", [None, "", "Basic abc.def", "Bearer", "Bearer a.b", "Bearer x" * 2000, "Bearer é.ü"])
def test_what_is_no_bearer_key(header: str | None) -> None:
    assert credentials.parse_bearer(header) is None


def test_a_key_does_not_show_its_secret_when_printed() -> None:
    assert "secret" not in repr(Credential("id", "secret-secret-secret-secret"))
