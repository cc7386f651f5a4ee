"""Looks: as many as are needed, however many ask; and what a round of many clients costs."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from chalicelib.rounds.closing import inspections_missing
from chalicelib.rounds.counters import parts_for
from chalicelib.rounds.looks import FAR, Looks
from chalicelib.rounds.phases import collecting
from chalicelib.rounds.receipt import Accepted
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.dynamo import Table
from chalicelib.storage.queues import Queue
from tests.fleet import SESSION, Killed, World
from tests.rounds.making import a_round
from tests.rounds.playing import crowd


def looks_of(world: World) -> Looks:
    """The one of another function, which remembers nothing."""
    queue = Queue(SESSION.client("sqs"), world.settings.work_queue_url)
    return Looks(Table(SESSION.client("dynamodb"), world.settings.rounds_table), queue, world.clock)


def waiting(world: World) -> list[Any]:
    """Messages that a worker would be given now."""
    found = world.sqs.receive_message(QueueUrl=world.settings.work_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [json.loads(message["Body"]) for message in found.get("Messages", [])]


# ---- asking


def test_many_who_ask_within_a_second_send_one_message_now_and_one_for_the_next_second(world: World) -> None:
    asked = [looks_of(world).ask("toy") for _ in range(20)]
    assert (asked[:3], sum(asked)) == ([True, True, False], 2)
    assert waiting(world) == [{"reconcile": "toy"}]
    world.clock.advance(1)
    assert waiting(world) == [{"reconcile": "toy"}] * 2, "who asked last is seen by a look that begins later"


def test_one_function_that_asks_again_and_again_writes_twice(world: World) -> None:
    looks = looks_of(world)
    with world.calls.count() as calls:
        for _ in range(20):
            looks.ask("toy")
    assert calls == ["UpdateItem", "SendMessage"] * 2


def test_models_do_not_wait_for_one_another_and_a_new_second_is_free(world: World) -> None:
    looks = looks_of(world)
    assert [looks.ask(model) for model in ("one", "two", "one", "one")] == [True, True, True, False]
    world.clock.advance(2)
    assert looks.ask("one")


def test_a_clock_that_was_far_ahead_silences_nobody_for_long(world: World) -> None:
    world.clock.advance(FAR + 10)
    assert looks_of(world).ask("toy")
    world.clock.advance(-FAR - 10)
    assert looks_of(world).ask("toy")


# ---- when a look is worth asking for


@pytest.mark.parametrize(
    ("seen", "missing"),
    [
        (Summary(), 10),
        (Summary(accepted=9, assigned=2), 1),
        (Summary(accepted=10), 1),  # and outliers among them, or it would have closed
        (Summary(accepted=6, rejected={"not-finite": 3}, assigned=4), 4),
        (Summary(accepted=6, rejected={"not-finite": 8}, reported=1), 1),  # nobody else can come
        (Summary(accepted=6, rejected={"not-finite": 9}), 1),
    ],
)
def test_a_look_is_not_worth_asking_for_before_what_is_missing_can_have_come(seen: Summary, missing: int) -> None:
    rnd = a_round()
    assert (rnd.config.goal, rnd.places) == (10, 15)
    assert inspections_missing(rnd, seen) == missing


def test_twenty_inspections_at_the_goals_edge_cause_one_aggregation(world: World) -> None:
    """Each batch comes to a worker of its own, all within a second."""
    world.model(goal=20, quorum=20, over_selection=2.0, evaluators=0)
    world.tick()
    devices = world.devices(21)
    for device in devices:
        world.update(device)
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)
    for device in devices:
        world.restart()
        if world.services.inspector.inspect(RoundId("toy", 1), device.client_id):
            world.services.inspector.ask_to_reconcile([RoundId("toy", 1)])
    aggregations: list[str] = []

    def between(operation: str, proceed: Any) -> Any:
        if operation == "TransactWriteItems":
            aggregations.append(operation)
        return proceed()

    world.calls.between = between
    world.deliver()
    world.clock.advance(1)
    world.deliver()
    world.calls.between = None
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.accepted) == ("completed", 21)
    assert aggregations == ["TransactWriteItems"], "nobody tried to publish what another one had"


def is_leased(world: World) -> bool:
    rows, _ = world.everything()
    return "busy_until" in rows[f"{world.settings.rounds_table}/model#toy/round#00000001"]


def test_while_one_aggregates_what_is_quickly_done_others_leave_it_alone_until_its_lease_is_over(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=0)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.services.inspector.inspect(RoundId("toy", 1), device.client_id)

    dead: list[str] = []

    def die(operation: str, proceed: Any) -> Any:
        if dead or operation == "CopyObject" or (operation == "PutObject" and is_leased(world)):
            dead.append(operation)
            raise Killed(operation)
        return proceed()

    world.calls.between = die
    with pytest.raises(Killed):
        world.tick()
    world.calls.between = None
    world.restart()
    for seconds, phase in ((60, "aggregating"), (60, "completed")):
        world.clock.advance(seconds)
        world.tick()
        assert world.operator.round("toy", 1).phase == phase


# ---- a message that was lost


def test_silent_inspections_are_asked_for_again_in_batches_and_not_by_every_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MOST_RESENT", 11)
    world.model(goal=13, quorum=1, over_selection=1.0)
    world.tick()
    for device in world.devices(12):
        world.update(device)
    url = world.settings.inspection_queue_url
    world.sqs.purge_queue(QueueUrl=url)
    world.clock.advance(world.settings.resend_seconds)
    with world.calls.count() as calls:
        world.tick()
    assert calls.count("SendMessageBatch") == 2, "eleven at the most, ten in a batch"
    for _ in range(3):
        world.services.coordinator.reconcile("toy")
    waiting_now = world.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert waiting_now == {"ApproximateNumberOfMessages": "11"}


def test_an_inspection_that_was_asked_for_a_moment_ago_is_not_asked_for_again(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    world.clock.advance(world.settings.resend_seconds)
    world.update(world.devices(1)[0])
    url = world.settings.inspection_queue_url
    world.sqs.purge_queue(QueueUrl=url)
    world.tick()
    assert "Messages" not in world.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    world.clock.advance(world.settings.resend_seconds)
    world.tick()
    assert world.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]


# ---- a round that has closed


def test_places_are_closed_and_receipts_settled_once_however_often_an_aggregation_is_looked_at() -> None:
    with closing(World(part_reads=1)) as world:
        world.model(goal=2, quorum=2, over_selection=2.0, evaluators=0)
        world.tick()
        for device in world.devices(2):
            world.update(device)
            world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
        world.tick()

        def again(*_: object) -> None:
            raise AssertionError("all receipts were read again")

        world.services._settling.settle = again
        world.tick()
        rnd = world.services.rounds.latest("toy")
        assert rnd
        assert (rnd.phase.value, rnd.settled) == ("aggregating", True)
        assert [each.closed for each in world.services.counters.read(rnd)] == [{"admitted"}]


# ---- rounds of many


def looks_in(world: World, count: int) -> tuple[int, Round]:
    """Requests of all looks of such a round, and of those who ask for them: ten ticks, and batch after batch of inspections."""
    rnd, requests = crowd(world, count), 0
    for done in range(0, count - 10, 10):
        for number in range(done, done + 10):
            receipt = world.services.rounds.receipt(rnd.id, f"client-{number:06d}")
            assert receipt
            world.services.rounds.settle(receipt, Accepted(norm=1.0, magnitudes="", header_bytes=10))
        with world.calls.count() as calls:
            world.services.inspector.ask_to_reconcile([rnd.id] * 10)
            world.deliver()
            if done % (count // 6) == 0:
                world.clock.advance(60)
                world.tick()
        requests += len(calls)
    return requests, rnd


def test_the_looks_of_a_round_cost_as_much_for_each_client_however_many_there_are() -> None:
    spent: list[int] = []
    for count in (60, 600):
        with closing(World()) as world:
            requests, rnd = looks_in(world, count)
            assert rnd.parts == parts_for(rnd.config) == (1 if count == 60 else 5)
            spent.append(requests)
    assert spent[1] <= 11 * spent[0]


def test_the_status_of_a_round_of_many_is_what_the_last_look_counted(world: World) -> None:
    opened_at = crowd(world, 300).opened_at
    world.clock.advance(60)
    before = world.operator.round("toy", 1)
    assert (before.reported, before.counted_at) == (0, opened_at)
    world.tick()
    with world.calls.count() as calls:
        shown = world.operator.round("toy", 1)
    assert (shown.reported, shown.counted_at) == (300, world.clock())
    assert len(calls) <= 3, "whatever there are"
