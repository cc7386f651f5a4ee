"""Operators list a round's receipts, page after page: each place once, as it stands, and no page reads without bound."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from chalicelib.rounds.moves import Phase
from chalicelib.rounds.operators import places
from chalicelib.rounds.receipt import ReceiptState, Verdict
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from chalicelib.storage.rows import to_item
from muster.http.errors import Refused
from muster.http.transport import REPLY_LIMIT_BYTES
from muster.wire import admin
from muster.wire.reasons import Reason
from tests.fleet import SESSION, World
from tests.rounds.playing import crowd, mixed

RECEIPTS = "/v1/admin/models/toy/rounds/1/receipts"


def by_client(world: World, **only: object) -> dict[str, admin.RoundReceipt]:
    found = list(world.operator.receipts("toy", 1, **only))
    assert len(found) == len({receipt.client_id for receipt in found})
    return {receipt.client_id: receipt for receipt in found}


def test_each_place_is_listed_with_what_became_of_it_and_why(world: World) -> None:
    devices = world.relive(mixed)
    accepted, rejected, failed, assigned = (by_client(world)[device.client_id] for device in devices)
    assert [r.state for r in (accepted, rejected, failed, assigned)] == ["accepted", "rejected", "failed", "assigned"]
    assert (accepted.examples, accepted.reason, accepted.metrics) == (10, None, {"train_loss": 0.9})
    assert accepted.norm is not None
    assert (rejected.reason, rejected.norm) == ("norm-overflow", None)
    assert rejected.expected
    assert rejected.got
    assert (failed.reason, failed.got) == ("wrong-shape", "ValueError")
    assert (assigned.reported_at, assigned.bytes, assigned.sha256) == (None, None, None)


def test_only_those_in_a_state_or_with_a_reason_are_listed_when_asked_for(world: World) -> None:
    devices = world.relive(mixed)
    assert by_client(world, state="rejected").keys() == {devices[1].client_id}
    assert by_client(world, reason="norm-overflow").keys() == {devices[1].client_id}
    assert by_client(world, reason="wrong-shape").keys() == {devices[2].client_id}, "also what devices say of themselves"
    assert by_client(world, state="accepted", reason="wrong-shape") == {}


@pytest.mark.parametrize("count", [23, 300])
def test_pages_hold_every_place_once_whatever_the_parts_of_the_round(
    world: World, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    rnd = crowd(world, count)
    assert (rnd.parts > 1) is (count == 300)
    monkeypatch.setattr(places, "PAGE", 7)
    after, sizes, names = None, [], []
    while True:
        page = world.operator.receipts_page("toy", 1, after=after)
        sizes.append(len(page.receipts))
        names += [receipt.client_id for receipt in page.receipts]
        after = page.after
        if after is None:
            break
    assert sizes[:-1] == [7] * (count // 7)
    assert sorted(names) == [f"client-{number:06d}" for number in range(count)]


def test_a_page_looks_at_so_many_receipts_and_no_more_however_few_are_wanted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd(world, 300)
    monkeypatch.setattr(places, "EXAMINED", 50)
    wanted = {"state": "rejected"}
    first = world.operator.receipts_page("toy", 1, **wanted)
    assert (first.receipts, first.after is not None) == ([], True)
    with world.calls.count() as calls:
        assert list(world.operator.receipts("toy", 1, **wanted)) == []
    assert len(calls) <= 7 * (2 + 2), "six pages and an empty one: the model, the round, and one part or two of it"


def test_a_receipt_that_cannot_be_read_is_passed_over_and_named_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = world.relive(mixed)
    key = keys.RECEIPT.key(round=RoundId("toy", 1), part="", client=devices[0].client_id)
    table = SESSION.resource("dynamodb").Table(world.settings.rounds_table)
    table.put_item(Item=table.get_item(Key=key)["Item"] | {"state": "of another release"})
    monkeypatch.setattr(places, "PAGE", 1)
    assert by_client(world).keys() == {device.client_id for device in devices[1:]}
    assert {vars(told).get("sk") for told in caplog.records if told.getMessage() == "row passed over"} == {key["sk"]}


def test_an_outlier_is_shown_as_rejected_as_soon_as_its_round_knows_the_bound(world: World) -> None:
    """The receipt itself is settled when the round is finalised; the list says already what it will say then."""
    world.model(goal=4, quorum=4, evaluators=0, outliers=admin.Outliers(least=3))
    world.tick()
    devices = world.devices(5)
    for device, step in zip(devices, [0.1, 0.1, 0.1, 0.1, 50.0], strict=True):
        world.update(device, step=step)
    for device in devices:
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert world.services.coordinator._phases[Phase.COLLECTING].advance(rnd)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert rnd.norm_bound is not None
    stored = world.services.rounds.receipt(RoundId("toy", 1), devices[-1].client_id)
    assert stored
    assert stored.state.value == "accepted"
    shown = by_client(world)[devices[-1].client_id]
    assert (shown.state, shown.reason) == ("rejected", "norm-outlier")


def test_a_page_of_the_longest_receipts_that_devices_can_cause_can_be_read(world: World) -> None:
    rnd = crowd(world, places.PAGE)
    metrics = {f"{number:02d}".rjust(40, "m"): -1.2345678901234567e-100 for number in range(16)}
    verdict = Verdict(Reason.WRONG_TENSORS, "\\" * 50_000, "\\" * 50_000)
    table = SESSION.resource("dynamodb").Table(world.settings.rounds_table)
    with table.batch_writer() as batch:
        for receipt in list(world.services.rounds.receipts(rnd.id)):
            longest = replace(
                receipt, client_id=receipt.client_id.rjust(64, "c"), state=ReceiptState.REJECTED, verdict=verdict,
                traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
            )  # fmt: skip
            key = keys.RECEIPT.key(round=rnd.id, part="", client=longest.client_id)
            batch.delete_item(Key=keys.RECEIPT.key(round=rnd.id, part="", client=receipt.client_id))
            numbers = {name: Decimal(repr(value)) for name, value in metrics.items()}
            batch.put_item(Item={**to_item(longest), **key, "metrics": numbers})
    answer = world.request("GET", RECEIPTS)
    assert len(answer.json()["receipts"]) == places.PAGE
    assert len(answer.content) < REPLY_LIMIT_BYTES / 2


@pytest.mark.parametrize(
    "query", ["state=lost", "reason=none-such", "after=../../x", "after=", "state=late&state=late", "page=2"]
)
def test_what_no_receipt_can_be_is_refused(world: World, query: str) -> None:
    world.relive(mixed)
    assert world.request("GET", f"{RECEIPTS}?{query}").status_code == 422


def test_there_are_none_of_a_round_that_there_is_not(world: World) -> None:
    world.relive(mixed)
    with pytest.raises(Refused, match="1 to 1"):
        list(world.operator.receipts("toy", 9))
