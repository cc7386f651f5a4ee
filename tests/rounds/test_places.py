"""Places of a round: never more than were wanted, all of them usable, and every receipt settled when its round is.

A check-in takes a place and then writes the receipt. Between the two anything may happen, and each may be sent twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.rounds.counters import CHECK_IN
from chalicelib.rounds.receipt import Receipt, ReceiptState
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from muster import Device
from muster.device import Refused
from muster.device.update import delta
from muster.wire.problems import Problem
from tests.fleet import BASE, Drift, Killed, World
from tests.rounds.playing import counted

MINUTE = CHECK_IN.total_seconds()


def current(world: World) -> Round:
    rnd = world.services.rounds.latest("toy")
    assert rnd
    return rnd


def stored(world: World, device: Device) -> Receipt:
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    return receipt


def at(world: World, operation: str, act: Callable[[], None]) -> None:
    """Let something happen right before the next call of an operation."""

    def between(called: str, proceed: Callable[[], Any]) -> Any:
        if called == operation:
            world.calls.between = None
            act()
        return proceed()

    world.calls.between = between


def lost(world: World, operation: str, number: int = 1) -> None:
    """The answer to the next call of an operation, or to a later one, is lost, and the call is sent again."""
    left = [number]

    def between(called: str, proceed: Callable[[], Any]) -> Any:
        left[0] -= called == operation
        if not left[0]:
            world.calls.between = None
            proceed()
        return proceed()

    world.calls.between = between


def an_update() -> bytes:
    return delta(BASE, Drift(0.1).train(BASE, {}))


# ---- never more than were wanted


def test_a_place_that_was_taken_and_never_used_is_given_again_when_no_check_in_can_be_under_way(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0)
    world.tick()
    rnd = current(world)
    # The function died between taking the place and writing the receipt.
    world.services.counters.take(rnd, "admitted", 0, rnd.places, world.clock())
    (device,) = world.devices(1)
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    assert device.check_in().kind == "wait", "whoever took it may be about to write its receipt"
    world.clock.advance(MINUTE)
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    assert device.check_in().kind == "train"


def test_a_receipt_that_is_still_to_be_written_keeps_its_place(world: World) -> None:
    """The tick counts one receipt too few and must not let another client in."""
    world.model(goal=1, quorum=1, over_selection=1.0)
    world.tick()
    first, second = world.devices(2)
    at(world, "PutItem", world.tick)
    assert first.check_in().kind == "train"
    world.clock.advance(world.settings.memory_seconds)
    assert second.check_in().kind == "wait"
    assert world.operator.round("toy", 1).assigned == 1


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_a_place_given_back_whose_answer_was_lost_admits_nobody_too_many(world: World, calls: int) -> None:
    """Two UpdateItem authenticate who comes again at once, one takes the place, one gives it back. Each may be sent twice."""
    world.model(goal=3, quorum=1, over_selection=1.0)
    world.tick()
    devices = world.devices(6)
    eager = devices[0]
    for device in devices[:2]:
        device.check_in()
    seen = [0]

    def twice(called: str, proceed: Callable[[], Any]) -> Any:
        seen[0] += called == "UpdateItem"
        if called == "UpdateItem" and seen[0] == calls:
            proceed()
        return proceed()

    world.calls.between = twice
    assert eager.check_in().kind == "train"
    world.calls.between = None
    assert seen == [4]
    world.clock.advance(MINUTE)
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    assert [device.check_in().kind for device in devices[2:]] == ["train", "wait", "wait", "wait"]
    assert counted(world) == world.operator.round("toy", 1).assigned == 3


def test_judges_too_many_by_the_hint_do_not_make_the_evaluation_wait_for_its_deadline(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=2, evaluation_quorum=1, evaluate_seconds=3000)
    world.tick()
    devices = world.devices(3)
    world.update(devices[0])
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    lost(world, "UpdateItem", 3)  # after the two that authenticate who comes again at once
    world.judge(devices[:1])
    assert (counted(world, "judges"), len(world.services.rounds.judgements(RoundId("toy", 1)))) == (2, 1)
    assert devices[1].check_in().kind == "wait"
    world.clock.advance(MINUTE)
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    assert counted(world, "judges") == 1
    world.judge(devices[1:])
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.evaluations) == ("completed", 2)
    assert world.services.rounds.judgement(RoundId("toy", 1), devices[2].client_id) is None


# ---- every receipt is settled when its round is


def close(world: World, accepted: Device, rest: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """What closes the round: the goal is reached by another device's update."""

    def act() -> None:
        world.deliver()
        rest()

    world.update(accepted)
    return act


@pytest.mark.parametrize("evaluators", [0, 1])
def test_a_receipt_that_is_born_after_its_round_has_settled_is_late_to_whoever_asks(world: World, evaluators: int) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=evaluators)
    world.tick()
    first, second = world.devices(2)
    at(world, "PutItem", close(world, first))
    assignment = second.check_in()
    assert assignment.kind == "train"
    assert current(world).phase.value == ("evaluating" if evaluators else "completed")
    receipt = second.receipt("toy.1")
    assert (receipt.state, receipt.reason) == ("late", "round-closed")
    assert stored(world, second).state is ReceiptState.LATE
    with pytest.raises(Refused) as refusal:
        second.submit("toy.1", an_update(), 10, {})
    assert refusal.value.problem is Problem.ROUND_CLOSED


def test_a_receipt_that_is_born_after_the_settling_is_settled_with_the_end_of_its_round(world: World) -> None:
    """Nobody asks for it: the round itself has the last word."""
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1)
    world.tick()
    first, second = world.devices(2)
    at(world, "PutItem", close(world, first))
    second.check_in()
    assert stored(world, second).state is ReceiptState.ASSIGNED
    world.play([first])
    assert stored(world, second).state is ReceiptState.LATE
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.late, shown.assigned) == ("completed", 1, 1, 0)


def test_an_update_reported_to_a_round_that_has_ended_is_late_though_its_message_was_lost(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=0)
    world.tick()
    first, second = world.devices(2)
    at(world, "PutItem", close(world, first))
    assert second.check_in().kind == "train"
    second.submit("toy.1", an_update(), 10, {})
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)
    assert stored(world, second).state is ReceiptState.REPORTED
    receipt = second.receipt("toy.1")
    assert (receipt.state, receipt.reason) == ("late", "round-closed")


def test_an_abandoned_round_says_so_to_who_got_its_place_too_late(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0)
    world.tick()
    (device,) = world.devices(1)

    def abandon() -> None:
        world.operator.abandon("toy", 1)
        world.tick()

    at(world, "PutItem", abandon)
    assert device.check_in().kind == "train"
    assert device.receipt("toy.1").reason == "round-abandoned"


def test_a_straggler_whose_message_was_lost_is_settled_by_its_rounds_close(world: World) -> None:
    world.model(goal=2, quorum=1, over_selection=2.0, report_seconds=600)
    world.tick()
    first, second, third = world.devices(3)
    for device in (first, second):
        world.update(device)
    third.check_in()
    world.services.inspector.inspect(RoundId("toy", 1), first.client_id)
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)
    world.clock.advance(600 + 120)
    world.tick()
    assert [stored(world, device).state.value for device in (first, second, third)] == ["accepted", "late", "late"]


def test_a_receipt_written_before_the_close_is_settled_by_it(world: World) -> None:
    """The other order: the process dies right after the receipt, and its device never hears of its place."""
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1)
    world.tick()
    first, second = world.devices(2)
    world.update(first)

    def die(called: str, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        if called == "PutItem":
            raise Killed(called)
        return answer

    world.calls.between = die
    with pytest.raises(Killed):
        second.check_in()
    world.calls.between = None
    world.deliver()
    assert stored(world, second).state is ReceiptState.LATE
    assert second.receipt("toy.1").state == "late"


def test_a_place_given_back_again_after_another_was_taken_takes_none_away(world: World) -> None:
    """The repeat of a giving back comes late: somebody has taken a place in between."""
    world.model(goal=3, quorum=1, over_selection=1.0)
    world.tick()
    devices = world.devices(6)
    for device in devices[:2]:
        device.check_in()
    seen, kinds = [0], []

    def late(called: str, proceed: Callable[[], Any]) -> Any:
        seen[0] += called == "UpdateItem"
        if called == "UpdateItem" and seen[0] == 2:  # the giving back: its answer is lost
            proceed()
            world.calls.between = None
            kinds.append(devices[2].check_in().kind)
        return proceed()

    world.calls.between = late
    assert devices[0].check_in().kind == "train"
    world.calls.between = None
    world.clock.advance(world.settings.memory_seconds)
    kinds += [device.check_in().kind for device in devices[3:]]
    assert kinds == ["train", "wait", "wait", "wait"]
    assert world.operator.round("toy", 1).assigned == 3
