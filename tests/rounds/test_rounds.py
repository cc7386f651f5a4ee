"""Rounds through the API: places, deadlines, drop-outs, repeats, revocation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from chalice.local import LambdaContext

import app as functions
from chalicelib import wiring
from chalicelib.rounds.receipt import ReceiptState
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage.dynamo import Put, Table, Update
from muster.device import Refused
from muster.device.update import delta
from muster.wire.arrays import decode, encode
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.fleet import BASE, SESSION, Drift, World


def test_no_more_clients_than_places_are_admitted_and_a_client_keeps_its_place(world: World) -> None:
    world.model(goal=2, quorum=1, over_selection=1.5)
    world.tick()
    devices = world.devices(5)
    kinds = [device.check_in().kind for device in devices]
    assert kinds == ["train"] * 3 + ["wait"] * 2
    # A restarted device asks again, and gets the same place though no other is left.
    assert [device.check_in().kind for device in devices] == kinds
    assert world.operator.round("toy", 1).assigned == 3


def test_a_client_that_asks_again_and_again_takes_no_place_from_others(world: World) -> None:
    world.model(goal=2, quorum=1, over_selection=1.0)
    world.tick()
    eager, other = world.devices(2)
    assert {eager.check_in().kind for _ in range(5)} == {"train"}
    assert other.check_in().kind == "train"


def test_a_device_that_is_done_waits(world: World) -> None:
    world.model()
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    waiting = device.check_in()
    assert waiting.kind == "wait"
    assert (waiting.reason, waiting.retry_after_seconds) == ("already-done", 62.5), (
        "the next meeting, and half of its five seconds"
    )


def test_a_model_that_does_not_train_has_no_work(world: World) -> None:
    world.model(rounds=0)
    world.tick()
    (device,) = world.devices(1)
    waiting = device.check_in()
    assert waiting.kind == "wait"
    assert (waiting.reason, waiting.retry_after_seconds) == ("no-training", 900.0)


def test_waiting_devices_come_back_at_the_pace_of_rounds_and_resting_ones_at_that_of_heartbeats(
    world: World,
) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=0, rounds=2)

    def told() -> tuple[str, float]:
        waiting = devices[1].check_in()
        assert waiting.kind == "wait"
        devices[1].beat_after(0.0)
        beat = devices[1].heartbeat_if_due()
        assert beat
        assert beat.work is (waiting.reason != "no-training"), "both say the same"
        return waiting.reason, waiting.retry_after_seconds

    devices = world.devices(2)
    assert told() == ("between-rounds", 62.5), "the first round has not opened yet"
    world.tick()
    world.operator.stop("toy")
    world.clock.advance(10)
    world.update(devices[0])
    assert told()[1] == 52.5, "the round is still open"
    world.deliver()
    world.clock.advance(3600)
    world.tick()
    assert world.operator.round("toy", 1).phase == "completed"
    world.clock.advance(10)
    assert told() == ("no-training", 900.0), "stopped"
    world.operator.start("toy", 2)
    world.clock.advance(10)
    assert told() == ("between-rounds", 32.5), "one more is wanted"
    world.operator.start("toy", 1)
    world.clock.advance(10)
    assert told() == ("no-training", 900.0), "enough have completed"


def test_stragglers_do_not_stall_a_round_beyond_its_deadline(world: World) -> None:
    world.model(goal=3, quorum=2, report_seconds=600)
    world.tick()
    devices = world.devices(4)
    for device in devices:
        device.check_in()
    for device in devices[:2]:
        device.submit("toy.1", an_update(), 10, {})
    world.deliver()
    world.clock.advance(599)
    world.tick()
    assert world.operator.round("toy", 1).phase == "collecting"
    world.clock.advance(1)
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.accepted, rnd.late) == ("evaluating", 2, 2)
    # The straggler learns its outcome; a report after the deadline is late and never counted.
    with pytest.raises(Refused) as refusal:
        devices[3].submit("toy.1", an_update(), 10, {})
    assert refusal.value.problem is Problem.ROUND_CLOSED
    assert devices[3].receipt("toy.1").state == "late"


def test_a_round_without_quorum_is_abandoned_and_nothing_that_is_served_changes(world: World) -> None:
    world.model(goal=3, quorum=2, report_seconds=600)
    world.tick()
    devices = world.devices(2)
    world.update(devices[0])
    world.deliver()
    devices[1].check_in()
    world.clock.advance(600)
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.reason) == ("abandoned", "quorum-not-reached: 1 of 2 updates accepted; 2 clients came for 6 places")
    # Everybody is told why, the next round is open already, and nothing was published.
    assert [device.receipt("toy.1").reason for device in devices] == ["round-abandoned"] * 2
    status = world.operator.status("toy")
    assert status.round
    assert (status.round.number, status.newest_version, status.deployed_version) == (2, 0, 0)


def test_a_report_in_time_that_waits_for_inspection_at_the_deadline_is_counted(world: World) -> None:
    world.model(goal=3, quorum=1, report_seconds=600)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.clock.advance(601)
    world.tick()
    assert world.operator.round("toy", 1).phase == "collecting"
    world.deliver()
    world.tick()
    assert world.operator.round("toy", 1).accepted == 1
    assert world.operator.round("toy", 1).phase == "evaluating"


def test_a_lost_inspection_message_is_sent_again_by_the_tick(world: World) -> None:
    world.model(goal=1, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)
    world.tick()
    assert world.deliver() == 0
    world.clock.advance(world.settings.resend_seconds)
    world.tick()
    assert world.deliver() >= 1
    assert device.receipt("toy.1").state == "accepted"


def test_an_inspection_message_delivered_twice_and_a_report_sent_twice_count_once(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    assert receipt.declared
    report = {"sha256": receipt.declared.sha256, "metrics": receipt.metrics}
    for _ in range(2):
        answer = world.request("POST", "/v1/rounds/toy.1/report", key=world.key_of(device), body=report)
        assert (answer.status_code, answer.json()["state"]) == (202, "reported")
    assert world.deliver() == 3
    assert not world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    rnd = world.operator.round("toy", 1)
    assert (rnd.accepted, rnd.examples, rnd.reported) == (1, 10, 0)
    # Also after its acceptance the same report has the same kind of answer.
    answer = world.request("POST", "/v1/rounds/toy.1/report", key=world.key_of(device), body=report)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")


def test_a_revoked_clients_update_does_not_count_while_the_round_collects(world: World) -> None:
    world.model(goal=3, quorum=1)
    world.tick()
    devices = world.devices(3)
    for device in devices:
        world.update(device)
    accepted, reported, _ = devices
    world.services.inspector.inspect(RoundId("toy", 1), accepted.client_id)
    for device in (accepted, reported):
        world.operator.revoke(device.client_id)
    world.operator.revoke(accepted.client_id)
    world.deliver()
    rnd = world.operator.round("toy", 1)
    assert (rnd.accepted, rnd.rejected) == (1, {"client-revoked": 2})


def test_a_manifest_made_before_a_revocation_is_never_frozen(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    devices = world.devices(2)
    for device in devices:
        world.update(device)
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)

    def revoke_in_the_middle(operation: str, proceed):  # type: ignore[no-untyped-def]
        if operation == "PutObject":  # the manifest
            world.calls.between = None
            world.services.revocation.revoke(devices[0].client_id)
        return proceed()

    world.calls.between = revoke_in_the_middle
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.accepted, rnd.rejected) == ("collecting", 1, {"client-revoked": 1})


def test_updates_are_deleted_once_their_version_is_published(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    devices = world.devices(2)
    for device in devices:
        world.update(device)
    _, before = world.everything()
    world.play(devices)
    _, after = world.everything()
    assert len([key for key in before if key.startswith("updates/")]) == 2
    assert [key for key in after if key.startswith("updates/")] == []


def test_a_version_stays_staged_when_it_gains_too_little_and_training_goes_on_from_it(world: World) -> None:
    world.model(goal=1, quorum=1, rounds=2, evaluators=1)
    world.tick()
    (device,) = world.devices(1)
    world.update(device, step=0.001)
    world.play([device])
    status = world.operator.status("toy")
    assert (status.deployed_version, status.newest_version) == (0, 1)
    assert world.operator.version("toy", 1).state == "staged"
    world.tick()
    assignment = device.check_in()
    assert assignment.kind == "train"
    assert assignment.base.version == 1


def test_judges_measure_both_versions_once_and_a_repeat_is_the_same(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=2)
    world.tick()
    device, other = world.devices(2)
    world.update(device)
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    assignment = device.check_in()
    assert assignment.kind == "evaluate"
    device.judge(assignment, Drift(0.0))
    device.judge(assignment, Drift(0.0))
    for version in (assignment.deployed.version, assignment.candidate.version):
        another = {"round": "toy.1", "examples": 11, "metrics": {"accuracy": 0.5}}
        answer = world.request("POST", f"/v1/models/toy/versions/{version}/metrics", key=world.key_of(device), body=another)
        assert (answer.status_code, answer.json()["type"]) == (409, Problem.REPORT_CONFLICT.urn)
    waiting = device.check_in()
    assert waiting.kind == "wait"
    assert waiting.reason == "already-done"
    assert world.operator.round("toy", 1).evaluations == 1
    world.clock.advance(600)
    world.tick()
    judge = other.check_in()
    assert judge.kind == "wait"
    with pytest.raises(Refused):
        other.judge(assignment, Drift(0.0))


def test_a_measurement_that_is_too_small_for_a_row_may_be_sent_again_like_any_other(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=1)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.deliver()
    world.clock.advance(world.settings.memory_seconds)
    assert device.check_in().kind == "evaluate"
    report = {"round": "toy.1", "examples": 3, "metrics": {"accuracy": 1.0, "loss": 1e-200}}
    for body, status in ((report, 202), (report, 202), ({**report, "metrics": {"accuracy": 1.0, "loss": 1e-100}}, 409)):
        answer = world.request("POST", "/v1/models/toy/versions/1/metrics", key=world.key_of(device), body=body)
        assert answer.status_code == status, answer.text


def test_weights_that_are_sent_in_the_place_of_their_change_move_a_clipped_model_no_further_than_the_norm(world: World) -> None:
    """They have the names, dtypes and shapes of an update: nobody can tell them from one."""
    world.model(goal=1, quorum=1, evaluators=0, clipping={"norm": 0.5})
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    device.submit("toy.1", encode({name: array for name, array in BASE.items() if array.dtype != bool}), 10, {})
    world.play()
    published = decode(world.operator.download(world.operator.version("toy", 1).checkpoint), HEADER_LIMIT_BYTES)
    moved = np.concatenate([(published[name] - BASE[name]).reshape(-1) for name in ("layer.weight", "layer.bias")])
    assert np.linalg.norm(BASE["layer.weight"]) > 2
    assert np.linalg.norm(moved) == pytest.approx(0.5, rel=1e-6)
    assert world.operator.status("toy").deployed_version == 0


def test_a_round_of_more_clients_than_a_transaction_takes_rows_ends_in_transactions_of_a_few(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model(goal=100, quorum=1, evaluators=0, report_seconds=600)
    world.tick()
    (device,) = world.devices(1)
    world.update(device)
    world.deliver()
    given = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert given
    for number in range(120):
        fresh = replace(given, client_id=f"silent-{number:03d}", state=ReceiptState.ASSIGNED, declared=None, norm=None)
        world.services.rounds.assign(fresh)
    rows: list[int] = []
    transact = Table.transact

    def count(table: Table, writes: Sequence[Put | Update]) -> None:
        rows.append(len(writes))
        transact(table, writes)

    monkeypatch.setattr(Table, "transact", count)
    world.clock.advance(600)
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.accepted, rnd.late) == ("completed", 1, 120)
    assert 0 < max(rows) <= 4


def test_a_model_that_would_not_be_finite_is_never_published(world: World) -> None:
    world.model(goal=1, quorum=1, tensors={"layer.bias": np.full(3, 60000, "f2")})
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    device.submit("toy.1", encode({"layer.bias": np.full(3, 60000, "f2")}), 10, {})
    world.deliver()
    rnd = world.operator.round("toy", 1)
    assert (rnd.phase, rnd.accepted) == ("abandoned", 0)
    assert rnd.reason
    assert rnd.reason.startswith("model-unfit: not-finite")
    assert world.operator.status("toy").newest_version == 0


def test_a_missing_update_abandons_the_round_by_name(world: World) -> None:
    world.model(goal=2, quorum=1)
    world.tick()
    devices = world.devices(2)
    for device in devices:
        world.update(device)
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    _, objects = world.everything()
    gone = next(key for key in objects if key.startswith("updates/"))
    world.s3.delete_object(Bucket=world.settings.bucket, Key=gone)
    world.tick()
    rnd = world.operator.round("toy", 1)
    assert rnd.phase == "abandoned"
    assert rnd.reason
    assert rnd.reason.startswith("update-missing")
    assert world.operator.status("toy").deployed_version == 0


def test_one_model_that_fails_does_not_keep_the_others_waiting(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.model("broken", goal=1, quorum=1)
    world.model("toy", goal=1, quorum=1)
    healthy = world.services.registry.deployment

    def fail(model: str):  # type: ignore[no-untyped-def]
        if model == "broken":
            raise OSError("the store is out of reach")
        return healthy(model)

    world.services.registry.deployment = fail  # type: ignore[method-assign]
    world.tick()
    with pytest.raises(RuntimeError, match="aggregation_worker failed"):
        world.deliver()
    assert "while reconciling (model broken)" in caplog.text
    assert world.services.rounds.latest("toy")
    assert world.services.rounds.latest("broken") is None


def an_update() -> bytes:
    return delta(BASE, Drift(0.1).train(BASE, {}))


def test_a_measurement_is_taken_by_an_instance_that_remembers_the_round_from_before_it_evaluated(world: World) -> None:
    world.model(goal=2, quorum=2, evaluators=2)
    devices = world.devices(2)
    world.tick()
    other = wiring.Services(settings=world.settings, clock=world.clock, session=SESSION)
    for device in devices:
        world.update(device)
    remembered = other.current.round.get("toy")
    assert remembered
    assert remembered.phase.value == "collecting"
    world.deliver()
    world.tick()
    world.restart()
    assignments = [device.check_in() for device in devices]
    assert {assignment.kind for assignment in assignments} == {"evaluate"}

    wiring.replace(other)
    for device, assignment in zip(devices, assignments, strict=True):
        assert assignment.kind == "evaluate"
        device.judge(assignment, Drift(0.0))

    world.restart()
    world.tick()
    assert world.operator.round("toy", 1).phase == "completed"


def test_a_message_that_names_no_round_is_a_failure_and_holds_up_no_other(world: World) -> None:
    world.model()
    device = world.devices(1)[0]
    world.tick()
    world.update(device)
    good = {"messageId": "good", "receiptHandle": "", "body": json.dumps({"round": "toy.1", "client": device.client_id})}
    bad = {"messageId": "bad", "receiptHandle": "", "body": json.dumps({"round": "toy", "client": device.client_id})}
    answer = functions.inspection_worker({"Records": [bad, good]}, LambdaContext("worker", 1024))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert device.receipt("toy.1").state == "accepted"
