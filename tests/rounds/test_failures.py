"""Work that devices give up: the place is free for another one, operators see why, and no update is lost or counted twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chalicelib.rounds.closing import next_phase
from chalicelib.rounds.counters import CHECK_IN, places_gone
from chalicelib.rounds.receipt import Receipt, ReceiptState
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.rows import from_item
from muster import Device
from muster.wire.failures import FAILURES, FailureReason
from tests.fleet import Drift, Killed, World
from tests.rounds.making import T0, a_round
from tests.rounds.playing import counted

ALONE = {"goal": 1, "quorum": 1, "over_selection": 1.0}
"""A round with one place."""


def give_up(
    world: World, device: Device, reason: str = "out-of-memory", *, work: str = "train", number: int = 1, **more: Any
) -> httpx.Response:
    body = {"work": work, "reason": reason, **more}
    return world.request("POST", f"/v1/rounds/toy.{number}/failure", key=world.key_of(device), body=body)


def word(answer: httpx.Response) -> str:
    """The refusal's name, or the state that was answered."""
    return str(answer.json().get("type", answer.json().get("state"))).rpartition(":")[2]


def current(world: World) -> Round:
    rnd = world.services.rounds.latest("toy")
    assert rnd
    return rnd


def stored(world: World, device: Device) -> Receipt:
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    return receipt


def free_places(world: World) -> None:
    """Let the tick see that no check-in is under way, and everybody forget what the round was."""
    world.clock.advance(CHECK_IN.total_seconds())
    world.tick()
    world.clock.advance(world.settings.memory_seconds)


def training(world: World, count: int, **config: Any) -> list[Device]:
    """Devices with a place each in the first round."""
    world.model(**config)
    world.tick()
    devices = world.devices(count)
    for device in devices:
        assert device.check_in().kind == "train"
    return devices


def judging(world: World, count: int, **config: Any) -> list[Device]:
    """Devices with a place each among the judges of the first candidate."""
    world.model(**{**ALONE, "evaluators": count, "evaluate_seconds": 3000.0, **config})
    world.tick()
    devices = world.devices(count)
    world.update(devices[0])
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    for device in devices:
        assert device.check_in().kind == "evaluate"
    return devices


# ---- what operators see


def test_a_failure_is_counted_by_its_reason_wherever_an_operator_looks(world: World) -> None:
    devices = training(world, 3, goal=3, quorum=1, over_selection=1.0, evaluators=0)
    for device, reason in zip(devices, ("out-of-memory", "out-of-memory", "trainer-error"), strict=True):
        assert give_up(world, device, reason).status_code == 202
    counts = {"out-of-memory": 2, "trainer-error": 1}
    shown = world.operator.status("toy").round
    assert shown
    assert (shown.failed, shown.assigned, shown.judges_failed) == (counts, 0, {})
    assert world.operator.round("toy", 1).failed == counts
    assert next(iter(world.operator.rounds("toy"))).failed == counts

    world.clock.advance(3600 + 120)
    world.tick()
    ended = world.operator.round("toy", 1)
    assert (ended.phase, ended.failed, ended.late) == ("abandoned", counts, 0)
    assert ended.reason
    assert ended.reason.endswith("0 of 1 updates accepted; 3 trainings failed (out-of-memory 2, trainer-error 1)")
    world.monitor()
    metrics = world.operator.status("toy").metrics
    assert {name: m.last for name, m in metrics.items() if "fail" in name} == {
        "trainer_failures": 3, "failed_out_of_memory": 2, "failed_trainer_error": 1,
    }  # fmt: skip
    world.operator.set_threshold("toy", "trainer_failures", maximum=2)
    world.monitor()
    assert "trainer_failures" in {alert.metric for alert in world.operator.alerts("toy")}


def test_every_word_has_its_line_and_fits_the_name_of_a_metric() -> None:
    assert set(FAILURES) == set(FailureReason)
    for reason in FailureReason:
        assert re.fullmatch(r"[a-z]+(-[a-z]+){0,3}", reason)
        assert len(f"failed_{reason}") <= 40


def test_what_a_receipt_says_of_a_failure_is_its_reason_and_the_log_has_the_name_of_the_exception(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (device,) = training(world, 1, **ALONE)
    caplog.clear()
    give_up(world, device, "trainer-error", error="KeyError")
    receipt = device.receipt("toy.1")
    assert (receipt.state, receipt.reason, receipt.got) == ("failed", "trainer-error", None)
    (line,) = [record for record in caplog.records if record.getMessage() == "work failed"]
    told = {name: getattr(line, name) for name in ("round", "client", "work", "reason", "error")}
    assert told == {
        "round": "toy.1", "client": "device-000", "work": "train", "reason": "trainer-error", "error": "KeyError",
    }  # fmt: skip


@pytest.mark.parametrize("error", ["a b", "", "x" * 65, "9", "Key.Error", "Fehler\n", "é", 5])
def test_no_text_of_a_device_but_the_name_of_a_class_is_stored(world: World, error: object) -> None:
    (device,) = training(world, 1, **ALONE)
    answer = give_up(world, device, error=error)
    assert (answer.status_code, word(answer)) == (422, "invalid-body")
    assert stored(world, device).failure is None


def test_a_receipt_a_judge_and_a_summary_of_before_can_be_read() -> None:
    receipt = Receipt(
        round=RoundId("toy", 1), client_id="device-000", state=ReceiptState.ASSIGNED, assigned_at=T0, report_by=T0,
        min_bytes=1, max_bytes=2, ttl=0,
    )  # fmt: skip
    assert receipt.failure is None
    assert from_item(Summary, {"accepted": 3, "rejected": {"not-finite": 1}}).given_up == 0


# ---- the place


def test_a_place_that_is_given_up_is_given_to_another_device_and_not_to_the_same_one_again(world: World) -> None:
    (broken,) = training(world, 1, **ALONE)
    (other,) = world.devices(1)
    assert other.check_in().kind == "wait"
    give_up(world, broken)
    free_places(world)
    assert counted(world) == 0
    again = broken.check_in()
    assert (again.kind, getattr(again, "reason", "")) == ("wait", "already-done")
    assert counted(world) == 0, "it took none away by asking"
    world.update(other)
    world.play([other])
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.failed) == ("completed", 1, {"out-of-memory": 1})


def test_who_says_that_it_gave_up_is_told_so_by_a_look_at_the_round(world: World) -> None:
    (broken,) = training(world, 1, **ALONE)
    give_up(world, broken)
    world.clock.advance(world.settings.request_seconds)
    with world.calls.count() as calls:
        answer = world.request(
            "POST", "/v1/models/toy/checkin", key=world.key_of(broken), body={"reported": "toy.1", "judged": "toy.1"}
        )
    assert (answer.json()["reason"], list(calls)) == ("already-done", ["UpdateItem", "Query", "Query"])


def test_a_broken_device_is_given_a_place_in_the_next_round(world: World) -> None:
    (broken,) = training(world, 1, **ALONE, rounds=2, evaluators=0)
    give_up(world, broken)
    free_places(world)
    (other,) = world.devices(1)
    world.update(other)
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    assignment = broken.check_in()
    assert assignment.kind == "train"
    assert assignment.round == "toy.2"


def test_a_failure_that_all_devices_share_does_not_go_through_the_fleet_in_one_round(world: World) -> None:
    """Each of two places is given twice; then the round waits for its deadline, and the fleet with it."""
    world.model(goal=2, quorum=1, over_selection=1.0)
    world.tick()
    fleet, tried = world.devices(9), 0
    for _ in range(8):
        for device in fleet[tried:]:
            if device.check_in().kind == "train":
                give_up(world, device, "unknown-hyperparameter")
                tried += 1
        free_places(world)
    assert tried == 4
    assert world.operator.round("toy", 1).phase == "collecting"
    world.clock.advance(3600)
    world.tick()
    assert world.operator.round("toy", 1).phase == "abandoned"


@pytest.mark.parametrize(
    ("held", "given_up", "gone"),
    [(0, 0, 0), (10, 0, 10), (15, 0, 15), (14, 1, 14), (0, 15, 0), (5, 14, 5), (5, 25, 15), (0, 30, 15)],
)
def test_places_are_gone_that_are_held_and_that_were_given_up_too_often(held: int, given_up: int, gone: int) -> None:
    assert a_round().places == 15
    assert places_gone(15, held, given_up) == gone


def test_failures_alone_end_no_round_early_and_enough_updates_do_not_wait_for_places_that_nobody_can_have() -> None:
    assert next_phase(a_round(), Summary(failed={"disk": 30}), T0) is None
    assert next_phase(a_round(), Summary(accepted=3, failed={"disk": 27}), T0) is None
    assert next_phase(a_round(), Summary(accepted=4, failed={"disk": 26}), T0) is not None
    assert next_phase(a_round(), Summary(accepted=4, failed={"disk": 25}), T0) is None, "one place can still be had"


@pytest.mark.parametrize("when", ["before", "after", "killed"])
def test_a_failure_beside_the_tick_that_counts_places_admits_nobody_too_many(world: World, when: str) -> None:
    """The tick has read the places and is about to write how many are gone, when one more is given up."""
    first, second = training(world, 2, goal=2, quorum=1, over_selection=1.0)
    others = world.devices(4)
    give_up(world, first)
    world.clock.advance(CHECK_IN.total_seconds())

    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation != "UpdateItem":
            return proceed()
        world.calls.between = None
        if when == "before":
            give_up(world, second)
        if when == "killed":
            raise Killed(operation)
        answer = proceed()
        if when == "after":
            give_up(world, second)
        return answer

    world.calls.between = between
    try:
        world.tick()
    except Killed:
        world.restart()
    for _ in range(3):
        free_places(world)
        for device in others:
            device.check_in()
        shown = world.operator.round("toy", 1)
        assert shown.assigned <= 2
        assert counted(world) >= shown.assigned
    assert shown.assigned == 2
    assert sum(shown.failed.values()) == (1 if when == "killed" else 2)


# ---- twice, late, beside an update, from somebody else


def test_the_same_report_again_is_the_same_answer_and_another_one_is_refused(world: World) -> None:
    (device,) = training(world, 1, **ALONE)
    first = give_up(world, device, "disk", error="OSError")
    world.clock.advance(60)
    assert give_up(world, device, "disk", error="OSError").json() == first.json()
    assert word(give_up(world, device, "no-time")) == "report-conflict"
    assert give_up(world, device, "disk").json() == first.json(), "the name beside it is only for the log"
    assert world.operator.round("toy", 1).failed == {"disk": 1}


def test_a_report_whose_answer_was_lost_and_that_is_sent_again_counts_once(world: World) -> None:
    (device,) = training(world, 1, **ALONE)

    def twice(operation: str, proceed: Callable[[], Any]) -> Any:
        proceed()
        return proceed()

    world.calls.between = twice
    assert word(give_up(world, device)) == "failed"
    world.calls.between = None
    assert world.operator.round("toy", 1).failed == {"out-of-memory": 1}


def test_however_many_reports_a_device_sends_one_row_changes_once(world: World) -> None:
    """Each of the others costs one refused transaction, and no line in the log."""
    (device,) = training(world, 1, **ALONE)
    give_up(world, device)
    before = world.everything()
    reasons = [reason.value for reason in FailureReason]
    for number in range(200):
        assert give_up(world, device, reasons[number % len(reasons)], error=f"E{number}").status_code in (202, 409)
    assert world.everything() == before


@pytest.mark.parametrize("state", ["reported", "accepted"])
def test_a_failure_after_the_report_changes_nothing(world: World, state: str) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=0)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    if state == "accepted":
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    assert stored(world, device).state.value == state
    before = world.everything()
    assert word(give_up(world, device)) == "report-conflict"
    assert world.everything() == before
    world.play([device])
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.failed) == ("completed", 1, {})
    assert word(give_up(world, device)) == "report-conflict", "nor when the round has ended"


def test_an_update_after_the_failure_is_refused_and_left(world: World) -> None:
    """Two processes with one key: one has given up, the other one comes with an update, declared before or after."""
    (device,) = training(world, 1, **ALONE, evaluators=0)
    declared = {"bytes": 900, "sha256": "1" * 64, "examples": 1}
    key = world.key_of(device)
    world.request("POST", "/v1/rounds/toy.1/upload", key=key, body={**declared, "bytes": current(world).base.min_update_bytes})
    give_up(world, device)
    for body, path in ((declared, "upload"), ({"sha256": "1" * 64}, "report")):
        answer = world.request("POST", f"/v1/rounds/toy.1/{path}", key=key, body=body)
        assert word(answer) == "report-conflict", answer.text
        assert "failed" in answer.json()["detail"]
    assert stored(world, device).state is ReceiptState.FAILED


def test_of_a_report_and_a_failure_at_once_one_stands(world: World) -> None:
    for first in ("update", "failure"):
        with_update = first == "failure"
        (device,) = training(world, 1, **ALONE, evaluators=0) if first == "update" else world.devices(1)
        if with_update:
            world.clock.advance(world.settings.memory_seconds)
            assert device.check_in().kind == "train"
        seen: list[str] = []

        def between(operation: str, proceed: Callable[[], Any], device: Device = device, seen: list[str] = seen) -> Any:
            if operation == "TransactWriteItems":
                world.calls.between = None
                seen.append(word(give_up(world, device, number=current(world).number)))
            return proceed()

        number = current(world).number
        assert number == 1
        world.calls.between = between
        try:
            world.update(device)
        except Exception as refused:  # noqa: BLE001 (whatever was refused is looked at)
            seen.append(type(refused).__name__)
        world.calls.between = None
        assert seen == ["failed", "Refused"]
        assert stored(world, device).state is ReceiptState.FAILED
        free_places(world)


def test_a_late_failure_is_refused_and_its_receipt_is_late(world: World) -> None:
    slow, quick = training(world, 2, goal=2, quorum=1, over_selection=1.0, evaluators=0)
    world.update(quick)
    world.deliver()
    world.clock.advance(3600)
    assert word(give_up(world, slow)) == "round-closed"
    world.tick()
    assert stored(world, slow).state is ReceiptState.LATE
    assert word(give_up(world, slow)) == "round-closed"
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.late, shown.failed) == ("completed", 1, {})


def test_a_failure_that_comes_when_the_round_is_frozen_leaves_its_version_alone(world: World) -> None:
    """The manifest is frozen and not settled yet: the receipt that fails now is not late, and nothing else changes."""
    slow, quick = training(world, 2, goal=1, quorum=1, over_selection=2.0, evaluators=0)
    world.update(quick)
    world.services.inspector.inspect(RoundId("toy", 1), quick.client_id)

    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        world.calls.between = None
        if current(world).phase.value == "aggregating":
            assert word(give_up(world, slow)) == "failed"
        else:
            world.calls.between = between
        return proceed()

    world.calls.between = between
    world.tick()
    world.calls.between = None
    world.play([quick])
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.late, shown.failed) == ("completed", 1, 0, {"out-of-memory": 1})
    assert shown.version == 1


def test_who_has_no_place_and_who_has_no_key_gives_nothing_up(world: World) -> None:
    (device,) = training(world, 1, **ALONE)
    stranger, gone = world.devices(2)
    before = stored(world, device)
    assert word(give_up(world, stranger)) == "not-assigned"
    assert word(give_up(world, stranger, work="evaluate")) == "not-assigned"
    assert word(give_up(world, device, number=2)) == "unknown-round"
    assert word(give_up(world, device, work="evaluate")) == "not-assigned"
    world.operator.revoke(gone.client_id)
    assert word(give_up(world, gone)) == "unauthenticated"
    for key in (None, "device-000.x", f"{device.client_id}.{'0' * 43}"):
        body = {"work": "train", "reason": "disk"}
        assert word(world.request("POST", "/v1/rounds/toy.1/failure", key=key, body=body)) == "unauthenticated"
    assert stored(world, device) == before


def test_a_client_that_was_revoked_after_it_had_failed_stays_failed(world: World) -> None:
    (device,) = training(world, 1, **ALONE)
    give_up(world, device)
    world.operator.revoke(device.client_id)
    assert stored(world, device).state is ReceiptState.FAILED
    assert world.operator.round("toy", 1).failed == {"out-of-memory": 1}


# ---- judges


def test_a_judges_failure_is_counted_and_its_seat_is_another_ones(world: World) -> None:
    broken, other = judging(world, 2)
    (third,) = world.devices(1)
    assert third.check_in().kind == "wait"
    assert word(give_up(world, broken, "missing-metric", work="evaluate")) == "failed"
    assert world.operator.round("toy", 1).judges_failed == {"missing-metric": 1}
    free_places(world)
    assert broken.check_in().kind == "wait"
    world.clock.advance(1500)  # who enrolled after the publication may judge in its second half
    world.judge([other, third])
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.evaluations, shown.judges_failed, shown.failed) == ("completed", 2, {"missing-metric": 1}, {})
    world.monitor()
    assert world.operator.status("toy").metrics["failed_missing_metric"].last == 1
    assert word(give_up(world, broken, "missing-metric", work="evaluate")) == "failed", "the same again"


def test_a_judge_that_has_measured_both_versions_cannot_take_its_voice_back(world: World) -> None:
    first, second = judging(world, 2)
    world.judge([first])
    before = world.everything()
    assert word(give_up(world, first, work="evaluate")) == "report-conflict"
    assert world.everything() == before
    world.judge([second])
    world.tick()
    assert world.operator.round("toy", 1).evaluations == 2


def test_a_judge_that_gave_up_after_one_measurement_counts_for_nothing_and_measures_no_more(world: World) -> None:
    first, _ = judging(world, 2)
    key, body = world.key_of(first), {"round": "toy.1", "examples": 1, "metrics": {"accuracy": 0.9}}
    assert world.request("POST", "/v1/models/toy/versions/0/metrics", key=key, body=body).status_code == 202
    assert word(give_up(world, first, work="evaluate")) == "failed"
    assert world.request("POST", "/v1/models/toy/versions/1/metrics", key=key, body=body).status_code == 409
    world.clock.advance(3000)
    assert word(give_up(world, first, "disk", work="evaluate")) == "report-conflict"
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.evaluations, shown.judges_failed) == ("completed", 0, {"out-of-memory": 1})


def test_a_judges_late_failure_is_refused(world: World) -> None:
    first, _ = judging(world, 2)
    world.clock.advance(3000)
    assert word(give_up(world, first, work="evaluate")) == "round-closed"


def test_who_trained_and_judges_in_one_round_gives_up_the_one_and_not_the_other(world: World) -> None:
    first, _ = judging(world, 2)
    assert word(give_up(world, first, work="train")) == "report-conflict", "its update was accepted"
    assert word(give_up(world, first, work="evaluate")) == "failed"
    assert stored(world, first).state is ReceiptState.ACCEPTED


def test_what_a_failure_costs_is_one_transaction(world: World) -> None:
    (device,) = training(world, 1, **ALONE)
    with world.calls.count() as calls:
        give_up(world, device)
    assert calls == ["TransactWriteItems"]


def test_a_round_goes_on_though_half_of_its_devices_fail(world: World) -> None:
    """Rule of the whole: every place is given up or brings an update, and the sum of what is counted is that of the places."""
    world.model(goal=4, quorum=2, over_selection=1.5, evaluators=0)
    world.tick()
    devices, done = world.devices(12), 0
    while not current(world).summary:
        for number, device in enumerate(devices):
            assignment = device.check_in()
            if assignment.kind == "train" and number % 2:
                give_up(world, device, "not-finite")
            elif assignment.kind == "train":
                device.take_part(assignment, Drift(0.1))
                done += 1
        free_places(world)
        world.deliver()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted) == ("completed", done)
    assert shown.accepted + shown.late + sum(shown.failed.values()) == len(
        list(world.services.rounds.receipts(RoundId("toy", 1)))
    )
