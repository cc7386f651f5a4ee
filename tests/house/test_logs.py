"""Logs are JSON lines with ids, and never hold a key, a URL or a tensor."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest

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
    log.removeHandler(handler)


def test_a_whole_round_is_logged_by_its_ids_and_without_a_secret(world: World, lines: StringIO) -> None:
    world.model(goal=2, quorum=2, evaluators=1)
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
        ("round moved", "toy.1", "completed"), ("round wound up", "toy.1", "completed"),
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

    world.calls.between = broken  # type: ignore[assignment]
    assert world.request("GET", "/v1/admin/models").status_code == 500
    (line,) = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert line["level"] == "ERROR"
    assert "DynamoDB is slow today" in line["exception"]
