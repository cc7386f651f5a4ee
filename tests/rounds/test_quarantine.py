"""Outliers through the API: an update that is far too long beside the others of its round is left out, and its device told."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.rounds.devices.inspection import Inspector
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.receipt import ReceiptState
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from muster import Device
from muster.aggregation.manifest import Manifest
from muster.wire.admin import Clipping, Outliers
from tests.fleet import Killed, World

RULE = Outliers(least=4)


def collected(world: World, *steps: float, **config: Any) -> list[Device]:
    """Devices, one a step, whose updates are accepted in a round that collects."""
    world.model(**{"goal": 4, "quorum": 4, "outliers": RULE, "report_seconds": 600, **config})
    world.tick()
    return joined(world, *steps)


def joined(world: World, *steps: float) -> list[Device]:
    """More devices, whose updates are accepted."""
    devices = world.devices(len(steps))
    for device, step in zip(devices, steps, strict=True):
        world.update(device, step=step)
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    return devices


def told(device: Device) -> tuple[str, str | None]:
    receipt = device.receipt("toy.1")
    return receipt.state, receipt.reason


OUTLIER = ("rejected", "norm-outlier")


def test_an_outlier_is_not_aggregated_and_everybody_learns_why(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 50.0, 0.3, 0.4)
    assert [told(device) for device in devices] == [("accepted", None)] * 5, "nobody is an outlier before the round closes"
    world.play(devices)

    liar = devices[2].receipt("toy.1")
    stored = world.services.rounds.receipt(RoundId("toy", 1), devices[2].client_id)
    rnd = world.services.rounds.latest("toy")
    assert stored
    assert rnd
    assert (liar.state, liar.reason) == OUTLIER
    assert (liar.expected, liar.got) == (f"an L2 norm of at most {rnd.norm_bound}", str(stored.norm))
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.rejected, shown.late, shown.examples) == (
        "completed", 4, {"norm-outlier": 1}, 0, 40,
    )  # fmt: skip
    world.monitor()
    assert world.operator.metric("toy", "rejected_norm_outlier", 1).sum == 1
    assert world.operator.metric("toy", "accepted_updates", 1).sum == 4
    _, objects = world.everything()
    assert not [key for key in objects if key.startswith("updates/")], "what was quarantined is deleted with the others"


def test_the_version_is_the_one_that_the_others_would_have_made() -> None:
    published = []
    for steps in ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4, 50.0)):
        world = World()
        try:
            world.play(collected(world, *steps, clipping=Clipping(norm=0.5, adaptive=True)))
            version = world.services.registry.newest("toy")
            assert version
            published.append((version.checkpoint.sha256, version.metrics, version.clip_norm))
        finally:
            world.close()
    assert published[0] == published[1]


def test_the_round_and_the_manifest_name_the_same_bound(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4, 50.0)
    world.tick()
    rnd = world.services.rounds.latest("toy")
    assert rnd
    manifest = Manifest.from_bytes(
        world.services.blobs.read(keys.MANIFEST.key(round="toy.1", sha256=rnd.manifest_sha256), 1 << 20)
    )
    assert manifest.norm_bound == rnd.norm_bound
    assert manifest.outliers == RULE
    assert [entry.client_id for entry in manifest.quarantined] == [devices[4].client_id]


def test_only_what_will_be_in_the_manifest_counts_toward_the_goal(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 50.0)
    world.tick()
    assert world.operator.round("toy", 1).phase == "collecting"
    devices += joined(world, 0.4)
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.rejected) == ("evaluating", 4, {"norm-outlier": 1})


def test_a_round_that_outliers_leave_without_quorum_is_abandoned_at_its_deadline_by_name(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 50.0)
    world.clock.advance(599)
    world.tick()
    assert world.operator.round("toy", 1).phase == "collecting"
    world.clock.advance(1)
    world.tick()
    shown = world.operator.round("toy", 1)
    rnd = world.services.rounds.get("toy", 1)
    assert rnd
    assert shown.phase == "abandoned"
    outlier = f"1 with an outlying norm (above {rnd.norm_bound})"
    assert shown.reason == f"quorum-not-reached: 3 of 4 updates accepted, and {outlier}; 4 clients came for 8 places"
    assert (shown.accepted, shown.rejected, shown.late) == (0, {"norm-outlier": 1}, 3)
    assert [told(device) for device in devices] == [("late", "round-abandoned")] * 3 + [OUTLIER]


def test_with_the_quorum_left_the_round_goes_on_at_its_deadline(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 50.0, quorum=3)
    world.clock.advance(600)
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.rejected) == ("evaluating", 3, {"norm-outlier": 1})
    assert told(devices[3]) == OUTLIER


def test_without_the_rule_or_with_fewer_than_its_least_nobody_is_an_outlier(world: World) -> None:
    collected(world, 0.1, 0.2, 50.0, quorum=3)
    world.clock.advance(600)
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.rejected) == ("evaluating", 3, {})


def test_the_rule_is_on_where_a_configuration_says_nothing(world: World) -> None:
    world.model(goal=4, quorum=3, report_seconds=600)
    world.tick()
    devices = joined(world, 0.1, 0.2, 0.3, 50.0)
    world.clock.advance(600)
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.rejected) == ("evaluating", 3, {"norm-outlier": 1})
    assert told(devices[3]) == OUTLIER


def test_a_model_that_turns_the_rule_off_by_name_takes_any_norm(world: World) -> None:
    collected(world, 0.1, 0.2, 0.3, 50.0, outliers="none")
    world.tick()
    shown = world.operator.round("toy", 1)
    assert (shown.phase, shown.accepted, shown.rejected) == ("evaluating", 4, {})
    assert world.operator.status("toy").config.outliers == "none"


def test_a_claim_of_a_billion_examples_weighs_no_more_than_the_cap_says() -> None:
    published = []
    for claim in (20, 10**9):
        world = World()
        try:
            world.model(goal=3, quorum=3, max_examples=10**9, max_claim_ratio=2.0)
            world.tick()
            devices = world.devices(3)
            for device, step, examples in zip(devices, (0.1, 0.2, 0.3), (10, 10, claim), strict=True):
                world.update(device, step=step, examples=examples)
            world.play(devices)
            version = world.services.registry.newest("toy")
            assert version
            assert version.round == 1
            published.append((version.checkpoint.sha256, version.metrics))
        finally:
            world.close()
    assert published[0] == published[1]


@pytest.mark.parametrize("before", ["settled", "not settled"])
def test_an_outlier_hears_the_same_when_its_round_is_abandoned_after_it_closed(world: World, before: str) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4, 50.0)

    rnd = world.services.rounds.latest("toy")
    assert rnd
    frozen = world.services.coordinator._phases[Phase.COLLECTING].advance(rnd)
    assert frozen
    if before == "settled":
        world.services._settling.settle(frozen, {device.client_id for device in devices[:4]})
        assert told(devices[4]) == OUTLIER
    world.operator.abandon("toy", 1)
    world.tick()
    assert [told(device) for device in devices] == [("late", "round-abandoned")] * 4 + [OUTLIER]


def test_a_tick_that_dies_between_the_freeze_and_the_verdicts_leaves_nothing_wrong(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4, 50.0)

    def dies(operation: str, proceed: Any) -> Any:
        answer = proceed()
        rnd = world.services.rounds.latest("toy") if operation == "UpdateItem" else None
        if rnd and rnd.phase is Phase.AGGREGATING:
            raise Killed
        return answer

    world.calls.between = dies
    with pytest.raises(Killed):
        world.tick()
    world.calls.between = None
    assert world.operator.round("toy", 1).phase == "aggregating"
    assert told(devices[4]) == ("accepted", None)
    world.tick()
    assert [told(device) for device in devices] == [("accepted", None)] * 4 + [OUTLIER]
    world.tick()
    assert told(devices[4]) == OUTLIER


def test_what_is_accepted_after_the_freeze_is_late_and_an_outlier_is_one_also_then(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4)
    straggler, liar = world.devices(2)
    world.update(straggler, step=0.2)
    world.update(liar, step=50.0)

    def inspected_in_the_middle(operation: str, proceed: Any) -> Any:
        if operation == "PutObject":  # the manifest, of the receipts that were accepted before
            world.calls.between = None
            for device in (straggler, liar):
                world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
        return proceed()

    world.calls.between = inspected_in_the_middle
    world.tick()
    assert [told(device) for device in (*devices, straggler, liar)] == [
        *[("accepted", None)] * 4, ("late", "round-closed"), OUTLIER,
    ]  # fmt: skip


def test_a_client_that_was_revoked_before_the_round_closed_is_no_outlier_too(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4, 50.0, goal=5, quorum=5)
    world.operator.revoke(devices[4].client_id)
    world.clock.advance(600)
    world.tick()
    shown = world.operator.round("toy", 1)
    assert shown.reason == "quorum-not-reached: 4 of 5 updates accepted; 5 clients came for 10 places"
    assert shown.rejected == {"client-revoked": 1}


def test_the_same_report_sent_again_is_answered_with_the_reason(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4, 50.0)
    stored = world.services.rounds.receipt(RoundId("toy", 1), devices[4].client_id)
    assert stored
    assert stored.declared
    world.tick()
    report = {"sha256": stored.declared.sha256, "metrics": stored.metrics}
    answer = world.request("POST", "/v1/rounds/toy.1/report", key=world.key_of(devices[4]), body=report)
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (202, *OUTLIER)


def test_what_passed_inspection_is_counted_once_for_its_client_whatever_became_of_it(world: World) -> None:
    devices = collected(world, 0.1, 0.2, 0.3, 0.4)
    (liar,) = world.devices(1)
    world.update(liar, step=50.0, examples=7)
    credit = Inspector._credit

    def dies(self: Inspector, receipt: Any) -> None:
        raise Killed

    Inspector._credit = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        world.services.inspector.inspect(RoundId("toy", 1), liar.client_id)
    Inspector._credit = credit  # type: ignore[method-assign]
    world.tick()
    stored = world.services.rounds.receipt(RoundId("toy", 1), liar.client_id)
    assert stored
    assert stored.state is ReceiptState.REJECTED
    for _ in range(2):
        world.services.inspector.inspect(RoundId("toy", 1), liar.client_id)
    shown = [world.operator.client(device.client_id) for device in (*devices, liar)]
    assert [(client.rounds, client.samples) for client in shown] == [(1, 10)] * 4 + [(1, 7)]
