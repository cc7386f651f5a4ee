"""`docs/scale.md` says what the formulae say, and the rows that they reckon with are as long as real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cost import scale
from bench.cost.scale import FleetSize, demands, first_to_break, shortest_pace, shortest_window, slowed
from bench.cost.units import item_bytes
from chalicelib.storage.keys import SHARDS
from tests.fleet import SESSION, World

DOCUMENT = (Path(__file__).parent.parent.parent / "docs/scale.md").read_text()


@pytest.mark.parametrize(
    "part",
    [scale.table(), scale.prices(), scale.table([slowed(fleet) for fleet in scale.FLEETS])],
    ids=["quotas", "prices", "slowed"],
)
def test_the_document_holds_the_tables_as_they_are_computed(part: str) -> None:
    assert part in DOCUMENT, "python -m bench.cost.scale prints what belongs there"


def asked(fleet: FleetSize, quota: str) -> float:
    (found,) = [demand.asked for demand in demands(fleet) if demand.quota.startswith(quota)]
    return found


def test_what_is_asked_by_hand() -> None:
    fleet = FleetSize(clients=9000, heartbeat_seconds=900, pace_seconds=60, goal=100, over_selection=1.2, window_seconds=30)
    assert asked(fleet, "API Gateway") == 10 + 150 + 3 * 4
    assert asked(fleet, "DynamoDB: write units/s of a shard") == (10 + 150 + 4 + 4 * 4) / SHARDS
    assert asked(fleet, "DynamoDB: write units/s of a round's partition") == 6 * 4
    assert asked(fleet, "S3: PUT/s") == 4


def test_polling_is_the_first_to_break_for_a_million_clients_and_slower_devices_mend_it() -> None:
    million = scale.FLEETS[1]
    assert first_to_break(million).quota == "API Gateway: requests/s"
    assert first_to_break(million).share > 1
    assert first_to_break(slowed(million)).share < 1
    assert 1_000_000 * 2 / shortest_pace(1_000_000) == pytest.approx(9000)


def test_a_round_of_thirteen_thousand_takes_five_thousand_clients_a_second() -> None:
    places = 13_000
    window = shortest_window(places)
    there = FleetSize(clients=places, goal=10_000, window_seconds=window)
    assert places / window >= 5_000
    for quota, most in (("a round's partition", 1000), ("a row of a round's counters", 1000), ("the table of rounds", 40_000)):
        assert asked(there, f"DynamoDB: write units/s of {quota}") <= most * 1.001


def test_the_rows_are_as_long_as_was_reckoned_and_are_written_as_often(world: World) -> None:
    world.model()
    world.tick()
    (device,) = world.devices(1)
    device.heartbeat_if_due()
    counters_key = {"pk": {"S": "counters#toy.1"}, "sk": {"S": "counters"}}
    receipt_key = {"pk": {"S": "round#toy.1"}, "sk": {"S": f"receipt#{device.client_id}"}}
    written: list[str] = []

    def watch(operation: str, proceed: object) -> object:
        written.append(operation)
        return proceed()  # type: ignore[operator]

    world.calls.between = watch
    world.update(device)
    world.deliver()
    world.calls.between = None
    dynamodb, rounds = SESSION.client("dynamodb"), world.settings.rounds_table
    rows = [dynamodb.get_item(TableName=rounds, Key=key)["Item"] for key in (counters_key, receipt_key)]
    (client,) = (
        item
        for item in dynamodb.scan(TableName=world.settings.clients_table)["Items"]
        if item["pk"]["S"].startswith("clients#")
    )
    lengths = [item_bytes(row) for row in (*rows, client)]
    assert lengths == pytest.approx([scale.COUNTER_BYTES, scale.RECEIPT_BYTES, scale.CLIENT_BYTES], rel=0.2)
    assert max(lengths[:2]) <= 1024, "a write is one unit"
    # Check-in: the client, the counters, the receipt. Grant and report: the receipt, and the client is checked. Inspection:
    # the receipt, the client, the counters.
    writes = [name for name in written if name in ("PutItem", "UpdateItem", "TransactWriteItems")]
    assert writes == ["UpdateItem", "UpdateItem", "PutItem", *["TransactWriteItems"] * 2, *["UpdateItem"] * 3]
    assert 2 + 2 * writes.count("TransactWriteItems") == scale.RECEIPT_UNITS
    assert scale.COUNTER_WRITES + 2 + writes.count("TransactWriteItems") + 2 == len(writes)
