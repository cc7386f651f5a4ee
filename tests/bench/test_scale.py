"""`docs/scale.md` says what the formulae say, and the rows that they reckon with are as long as real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cost import savings, scale
from bench.cost.scale import FleetSize, demands, first_to_break
from bench.cost.units import item_bytes
from chalicelib.storage.keys import SHARDS
from infra.local.resources import template
from muster.pacing.intervals import PaceRules
from tests.fleet import SESSION, World

DOCUMENT = (Path(__file__).parent.parent.parent / "docs/scale.md").read_text()


@pytest.mark.parametrize(
    ("module", "part"),
    [("scale", scale.table()), ("scale", scale.paces()), ("scale", scale.census()), ("savings", savings.table())],
    ids=["quotas", "paces", "census", "savings"],
)
def test_the_document_holds_the_tables_as_they_are_computed(module: str, part: str) -> None:
    assert part in DOCUMENT, f"python -m bench.cost.{module} prints what belongs there"


def asked(fleet: FleetSize, quota: str) -> float:
    (found,) = [demand.asked for demand in demands(fleet) if demand.quota.startswith(quota)]
    return found


def test_what_is_asked_by_hand() -> None:
    fleet = FleetSize(clients=9000, goal=100, update_bytes=5_000_000)  # 130 places, two parts
    beats, asks = 9000 / 5400, 1.5 * 130 / 60  # half as many again as there are places, in a minute
    assert asked(fleet, "API Gateway") == pytest.approx(beats + asks + 2 * asks)
    assert asked(fleet, "DynamoDB: write units/s of a shard") == pytest.approx((beats + asks + (4 + 1) * asks) / SHARDS)
    assert asked(fleet, "DynamoDB: write units/s of a round's partition") == pytest.approx(6 * asks / 2)
    assert asked(fleet, "DynamoDB: write units/s of the table of rounds") == pytest.approx(8 * asks)
    assert asked(fleet, "S3: PUT/s") == asks
    assert asked(fleet, "Inspection") == pytest.approx(130 * 0.2 / 50)


def test_a_fleet_that_meets_asks_within_its_meeting() -> None:
    fleet = FleetSize(clients=100, goal=100)
    assert fleet.paces.meeting_seconds == 5.0
    assert (fleet.places, fleet.asks, fleet.joins) == (100, 20.0, 20.0)


def test_a_million_clients_are_within_every_quota_by_default() -> None:
    for goal in (0, 1_000, 10_000):
        worst = first_to_break(FleetSize(clients=10**6, goal=goal))
        assert worst.share < 1, worst


@settings(max_examples=50)
@given(
    clients=st.integers(1, 10**8),
    goal=st.one_of(st.just(0), st.integers(1, 100_000)),
    update_bytes=st.integers(1, 45_000_000),
)
def test_no_fleet_up_to_a_hundred_million_breaks_what_cannot_be_raised(clients: int, goal: int, update_bytes: int) -> None:
    fleet = FleetSize(clients=clients, goal=goal, update_bytes=update_bytes)
    broken = [demand for demand in demands(fleet) if demand.share > 1 and not demand.may_be_raised]
    assert broken == []
    assert asked(fleet, "API Gateway") <= 10_000


def test_shards_of_clients_bear_a_ceiling_of_thirteen_thousand() -> None:
    quota = "DynamoDB: write units/s of a shard"
    shares = [
        asked(FleetSize(clients=10**8, goal=100_000, rules=PaceRules(ceiling=ceiling)), quota)
        for ceiling in (13_000.0, 13_100.0)
    ]
    assert shares[0] <= 1000 < shares[1]


def test_the_template_inspects_with_as_many_workers_as_was_reckoned() -> None:
    events = template()["Resources"]["InspectionWorker"]["Properties"]["Events"]
    (source,) = (event["Properties"] for event in events.values())
    assert source["ScalingConfig"]["MaximumConcurrency"] == scale.INSPECTORS


def test_every_fleet_sends_a_fifth_of_what_it_sent_or_less() -> None:
    assert min(one.times for one in savings.savings()) >= 5
    rests = savings.savings()[0]
    assert (rests.before.per_day_of_each(1000), rests.now.per_day_of_each(1000)) == (96, 16)


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
    assert 2 + 2 * writes.count("TransactWriteItems") == scale.RECEIPT_UNITS == scale.CLIENT_UNITS
    assert scale.COUNTER_UNITS + 2 + writes.count("TransactWriteItems") + 2 == len(writes)
