"""How many requests to AWS each call costs (DESIGN: budgets), whatever else is stored."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chalicelib.clients.client import Client, ClientState
from chalicelib.storage import keys
from chalicelib.storage.rows import to_item
from muster.wire.arrays import encode
from tests.fleet import SESSION, World
from tests.refusals import UPDATE


def store_clients(world: World, count: int) -> None:
    """Put so many clients into the table, without the server."""
    table = SESSION.resource("dynamodb").Table(world.settings.clients_table)
    now = world.clock()
    client = Client(
        client_id="",
        key_hash="0" * 64,
        state=ClientState.ACTIVE,
        device_type="iot",
        sdk_version="1.0",
        enrolled_at=now,
        last_seen_at=now,
    )
    item = {**to_item(client), "model": "toy"}
    with table.batch_writer() as batch:
        for number in range(count):
            name = f"stored-{number:05d}"
            batch.put_item({**item, "client_id": name, **keys.client_key(name)})


@pytest.mark.parametrize("stored", [100, 5_000])
def test_what_each_call_costs(world: World, stored: int) -> None:
    store_clients(world, stored)
    world.model(goal=5, quorum=1)
    world.tick()
    world.monitor()
    warm, device = world.devices(2)
    warm.heartbeat_if_due()
    warm.check_in()
    warm.model()
    key, data = world.key_of(device), encode(UPDATE)
    sha256 = hashlib.sha256(data).hexdigest()
    found: dict[str, list[str]] = {}
    replies: dict[str, Any] = {}

    def cost(name: str, method: str, path: str, body: object = None) -> None:
        with world.calls.count() as operations:
            response = world.request(method, path, key=key, body=body)
        assert response.status_code < 300, response.text
        found[name], replies[name] = operations, response.json()
        if name == "grant":
            place = replies[name]["url"].split("?")[0].partition(".com/")[2]
            world.s3.put_object(Bucket=world.settings.bucket, Key=place, Body=data)

    cost("heartbeat", "POST", "/v1/heartbeat", {"model": "toy"})
    cost("check-in", "POST", "/v1/models/toy/checkin", {})
    cost("grant", "POST", "/v1/rounds/toy.1/upload", {"bytes": len(data), "sha256": sha256, "examples": 1})
    cost("report", "POST", "/v1/rounds/toy.1/report", {"sha256": sha256})
    world.clock.advance(world.settings.request_seconds)
    warm.check_in()
    warm.model()
    cost("done", "POST", "/v1/models/toy/checkin", {"reported": "toy.1"})
    cost("too soon", "POST", "/v1/models/toy/checkin", {"reported": "toy.1"})
    cost("model", "GET", "/v1/models/toy")
    cost("statistics", "GET", "/v1/admin/statistics")
    cost("status", "GET", "/v1/admin/models/toy")
    cost("clients", "GET", "/v1/admin/clients?device_type=nonsense")
    assert {name: calls for name, calls in found.items() if name not in ("status", "clients")} == {
        "heartbeat": ["UpdateItem"],
        "check-in": ["UpdateItem", "UpdateItem", "PutItem"],
        "grant": ["TransactWriteItems"],
        "report": ["HeadObject", "TransactWriteItems", "SendMessage"],
        "done": ["UpdateItem", "UpdateItem"],  # sooner than it would have been told to come, as after each report
        "too soon": ["UpdateItem", "UpdateItem"],
        "model": ["GetItem"],
        "statistics": ["Query", "GetItem"],
    }
    # model; deployment, version, round; storage; tallies and bounds of the clients; receipts; the same for their pace;
    # alerts; records of rounds and fleet
    fleet = ["Query", "GetItem"]
    assert found["status"] == ["GetItem"] + ["Query"] * 3 + ["GetItem"] + fleet + ["Query"] + fleet + ["Query"] * 3
    assert len(found["clients"]) <= keys.SHARDS
    assert replies["statistics"]["clients"] == stored
    assert replies["status"]["clients"]["active_by_model"] == {"toy": stored}
    assert "Scan" not in world.calls.seen
