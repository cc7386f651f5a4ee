"""How many requests to AWS each call costs (DESIGN: budgets), whatever else is stored."""

from __future__ import annotations

import hashlib

import pytest

from chalicelib.storage.dynamo import Put, Table
from muster.wire.arrays import encode
from tests.fleet import SESSION, World
from tests.rounds.test_bad_input import UPDATE


def store_clients(world: World, count: int) -> None:
    table = Table(SESSION.client("dynamodb"), world.settings.clients_table)
    for number in range(count):
        table.put(Put(table, {"pk": f"client#stored-{number}", "sk": "client"}, {"client_id": f"stored-{number}"}))


@pytest.mark.parametrize("stored", [0, 300])
def test_what_each_call_costs(world: World, stored: int) -> None:
    store_clients(world, stored)
    world.model(goal=5, quorum=1)
    world.tick()
    warm, device = world.devices(2)
    warm.heartbeat_if_due()
    warm.check_in()
    warm.model()
    key, data = world.key_of(device), encode(UPDATE)
    sha256 = hashlib.sha256(data).hexdigest()
    found = {}

    def cost(name: str, method: str, path: str, body: object = None) -> None:
        with world.calls.count() as operations:
            response = world.request(method, path, key=key, body=body)
        assert response.status_code < 300, response.text
        found[name] = operations
        if name == "grant":
            reply = response.json()
            world.s3.put_object(Bucket=world.settings.bucket, Key=reply["url"].split("?")[0].partition(".com/")[2], Body=data)

    cost("heartbeat", "POST", "/v1/heartbeat", {"model": "toy"})
    cost("check-in", "POST", "/v1/models/toy/checkin", {})
    cost("grant", "POST", "/v1/rounds/toy.1/upload", {"bytes": len(data), "sha256": sha256, "examples": 1})
    cost("report", "POST", "/v1/rounds/toy.1/report", {"sha256": sha256})
    cost("done", "POST", "/v1/models/toy/checkin", {"reported": "toy.1"})
    cost("model", "GET", "/v1/models/toy")
    assert found == {
        "heartbeat": ["UpdateItem"],
        "check-in": ["GetItem", "UpdateItem", "PutItem"],
        "grant": ["UpdateItem"],
        "report": ["HeadObject", "UpdateItem", "SendMessage"],
        "done": ["GetItem"],
        "model": ["GetItem"],
    }
