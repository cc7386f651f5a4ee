"""Logs are JSON lines with ids, and never hold a key, a URL or a tensor."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from chalice.config import Config
from chalice.local import LambdaContext, LocalGateway

from app import app
from chalicelib.clients.credentials import new_token
from chalicelib.log import Scrubbing, log
from tests.fleet import World


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What the server's logger writes."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Scrubbing(utc=True))
    log.addHandler(handler)
    yield stream
    log.handlers.remove(handler)


def test_a_whole_round_is_logged_by_its_ids_and_without_a_secret(world: World, lines: StringIO) -> None:
    world.model(goal=2, quorum=2, evaluators=1)
    world.operator.set_threshold("toy", "active_clients", minimum=5)
    minted = world.operator.mint_token(3)
    devices = [world.device(minted.token, f"device-{number}") for number in range(3)]
    devices[2].rotate_key()
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.play(devices)
    world.monitor()
    world.request("POST", "/v1/heartbeat", key="device-0." + "x" * 43, body={})
    text = lines.getvalue()
    found = [json.loads(line) for line in text.splitlines()]
    messages = [(line["message"], line.get("round"), line.get("phase")) for line in found]
    for expected in (
        ("round opened", "toy.1", "collecting"), ("round moved", "toy.1", "aggregating"),
        ("round moved", "toy.1", "evaluating"),
        ("round moved", "toy.1", "completed"), ("round finalised", "toy.1", "completed"),
    ):  # fmt: skip
        assert expected in messages
    assert {"client enrolled", "key rotated", "alert opened", "refused"} <= {line["message"] for line in found}
    assert {line["client"] for line in found if line["message"] == "client enrolled"} == {d.client_id for d in devices}
    secrets = [minted.token, *(world.key_of(device) for device in devices)]
    for secret in (*(s.partition(".")[2] for s in secrets), "X-Amz-", "http", "safetensors"):
        assert secret not in text


def test_what_slips_into_a_message_is_scrubbed(lines: StringIO) -> None:
    token = new_token()
    log.warning(f"got {token} from https://b/c?X-Amz-Signature=abcdef0123&X-Amz-Credential=AKIA%2Fx&X-Amz-Expires=9")
    try:
        raise RuntimeError(f"with {token}")
    except RuntimeError:
        log.exception("failed")
    text = lines.getvalue()
    assert token.secret not in text
    assert f"{token.public}.…" in json.loads(text.splitlines()[0])["message"]
    for part in ("abcdef0123", "AKIA"):
        assert part not in text
    assert len([json.loads(line) for line in text.splitlines()]) == 2


def test_the_servers_failure_is_logged_as_json_with_its_traceback(world: World, lines: StringIO) -> None:
    def broken(operation: str, proceed: object) -> None:
        raise TimeoutError("DynamoDB is slow today")

    world.calls.between = broken
    assert world.request("GET", "/v1/admin/models").status_code == 500
    (line,) = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert line["level"] == "ERROR"
    assert "DynamoDB is slow today" in line["exception"]


def test_a_line_of_a_request_has_the_name_that_the_gateway_gave_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told that the server failed is told that name (`muster.http.answers.request_id`)."""

    def broken(operation: str, proceed: object) -> None:
        raise TimeoutError("DynamoDB is slow today")

    stream = StringIO()
    monkeypatch.setattr(log.registered_handler, "stream", stream)
    world.calls.between = broken
    gateway = LocalGateway(app, Config(chalice_stage="local"))
    event = gateway.event_converter.create_lambda_event("GET", "/v1/admin/models", {}, None)
    event["requestContext"]["requestId"] = "5f2c-of-the-gateway"
    assert app(event, LambdaContext("api", 1024))["statusCode"] == 500
    world.request("GET", "/v1/admin/models")
    named, unnamed = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (named["level"], named["request"]) == ("ERROR", "5f2c-of-the-gateway")
    assert "request" not in unnamed, "the name of the one before does not stay"


def moved(lines: StringIO, round_id: str, phase: str) -> dict[str, object]:
    """The one line that says that a round came to a phase."""
    found = [line for line in map(json.loads, lines.getvalue().splitlines()) if line["message"] == "round moved"]
    (line,) = [line for line in found if (line["round"], line["phase"]) == (round_id, phase)]
    return line  # type: ignore[no-any-return]


def test_whoever_moves_a_round_leaves_the_same_line_in_the_log(
    world: World, lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(goal=1, quorum=1, evaluators=1, rounds=4)
    (device,) = world.devices(1)

    def closed() -> None:
        """A round whose only update was accepted, and that the tick has frozen."""
        world.tick()
        world.clock.advance(60)  # what a function remembered of the last round is forgotten
        world.update(device)
        world.deliver()

    closed()
    by_the_tick = moved(lines, "toy.1", "evaluating")
    world.operator.abandon("toy", 1, because="an operator says so")
    by_an_operator = moved(lines, "toy.1", "abandoned")

    monkeypatch.setattr("chalicelib.rounds.phases.aggregating.QUICK_BYTES", 0)  # a look leaves it to a worker
    closed()
    by_a_worker = moved(lines, "toy.2", "evaluating")
    world.play([device])
    world.tick()
    world.clock.advance(2 * 3600)
    world.tick()  # nobody came
    by_the_deadline = moved(lines, "toy.3", "abandoned")

    own = {"timestamp", "round", "fence", "base", "version", "reason"}
    for one, other in ((by_the_tick, by_a_worker), (by_an_operator, by_the_deadline)):
        assert {name: value for name, value in one.items() if name not in own | {"was"}} == {
            name: value for name, value in other.items() if name not in own | {"was"}
        }
    assert by_the_tick.keys() == by_a_worker.keys()
    assert (by_an_operator["reason"], by_an_operator["was"]) == ("an operator says so", "evaluating")
    assert by_the_deadline["was"] == "collecting"
