"""What a round leaves in the bucket is deleted when it ends: by whoever finalises it, however often that dies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.rounds.moves import Phase
from chalicelib.rounds.phases import settling
from chalicelib.rounds.round_id import RoundId
from chalicelib.rounds.store import MOST_GRANTS
from chalicelib.storage import keys
from muster import Device
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from tests.fleet import Drift, Killed, World
from tests.refusals import UPDATE

DATA = encode(UPDATE)


def objects(world: World, prefix: str) -> set[str]:
    return {key for key in world.everything()[1] if key.startswith(prefix)}


def declare(world: World, device: Device, number: int) -> Any:
    """Ask for a grant for the `number`-th of many updates."""
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    body = {"bytes": len(DATA), "sha256": sha256, "examples": 1}
    return world.request("POST", "/v1/rounds/toy.1/upload", key=world.key_of(device), body=body)


def upload(world: World, device: Device, number: int) -> None:
    """Declare an update, and put something under the grant."""
    answer = declare(world, device, number)
    assert answer.status_code == 200, answer.text
    place = answer.json()["url"].split("?")[0].partition(".com/")[2]
    world.s3.put_object(Bucket=world.settings.bucket, Key=place, Body=b"anything")


def play(world: World, devices: list[Device]) -> None:
    """A round with an update that counts, two that were replaced, and one that was never reported."""
    world.tick()
    counted, careless = devices[:2]
    counted.check_in()
    careless.check_in()
    for number in range(3):
        upload(world, careless, number)
    world.update(counted)
    world.deliver()
    world.play([counted])
    assert world.operator.round("toy", 1).phase == "completed"


def test_what_was_replaced_and_what_was_never_reported_is_deleted_with_what_counted(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1)
    play(world, world.devices(2))
    assert objects(world, "updates/") == set()


def test_where_updates_are_kept_it_is_those_that_the_version_was_made_of(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1, keep_updates=True)
    devices = world.devices(2)
    play(world, devices)
    receipt = world.services.rounds.receipt(RoundId("toy", 1), devices[0].client_id)
    assert receipt
    assert receipt.declared
    assert objects(world, "updates/") == {receipt.declared.key}


def test_no_other_round_loses_anything(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1)
    others = {
        keys.UPDATE.key(round=name, client="device-000", sha256="0" * 64) for name in ("toy.10", "toy.2", "a-toy.1", "toy")
    } | {f"{keys.UPDATE.folder(round='toy.1').rstrip('/')}0/device-000/{'0' * 64}.safetensors"}
    for key in others:
        world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"another round's")
    play(world, world.devices(2))
    assert objects(world, "updates/") == others


def test_a_round_without_a_version_keeps_no_update_even_where_updates_are_kept(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=3.0, keep_updates=True)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    upload(world, device, 1)
    world.operator.abandon("toy", 1)
    world.operator.stop("toy")
    world.tick()
    assert objects(world, "updates/") == set()


def test_a_round_of_many_files_is_finalised_tick_by_tick(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MOST_DELETED", 2)
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1, rounds=2)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    for number in range(5):
        upload(world, device, number)
    world.operator.abandon("toy", 1)
    left = []
    for _ in range(3):
        world.tick()
        left.append(len(objects(world, "updates/")))
        world.clock.advance(60)
    assert left == [3, 1, 0]
    assert world.operator.status("toy").round.number == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("died", ["before", "after"])
def test_a_finalisation_that_dies_in_the_middle_of_its_deletions_is_followed_by_one_that_ends_them(
    world: World, died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.storage.blobs.LIST_PAGE", 2)
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    for number in range(5):
        upload(world, device, number)
    world.operator.abandon("toy", 1)
    world.operator.stop("toy")
    seen = [0]

    def die(called: str, proceed: Callable[[], Any]) -> Any:
        seen[0] += called == "DeleteObjects"
        if called == "DeleteObjects" and seen[0] == 2:
            if died == "after":
                proceed()
            raise Killed(called)
        return proceed()

    world.calls.between = die
    with pytest.raises(Killed):
        world.tick()
    world.calls.between = None
    assert len(objects(world, "updates/")) == {"before": 3, "after": 1}[died]
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert rnd.summary is None
    world.tick()
    assert objects(world, "updates/") == set()
    assert world.services.rounds.latest("toy").summary  # type: ignore[union-attr]


def test_parts_and_manifests_of_an_ended_round_are_deleted_but_for_the_one_that_was_frozen() -> None:
    world = World(part_reads=1)
    try:
        world.model(goal=2, quorum=2, evaluators=1)
        devices = world.devices(2)
        world.tick()
        for device in devices:
            world.update(device)
        orphan = keys.MANIFEST.key(round="toy.1", sha256="0" * 64)
        world.s3.put_object(Bucket=world.settings.bucket, Key=orphan, Body=b"of a look that was overtaken")
        world.deliver()
        assert len(objects(world, "parts/")) >= 3
        world.play(devices)
        rnd = world.services.rounds.latest("toy")
        assert rnd
        assert rnd.phase is Phase.COMPLETED
        assert objects(world, "parts/") == set()
        assert objects(world, "rounds/") == {keys.MANIFEST.key(round="toy.1", sha256=rnd.manifest_sha256)}
    finally:
        world.close()


# ---- grants


def test_a_client_may_declare_only_so_many_different_updates_and_the_same_one_again_counts_nothing(world: World) -> None:
    world.model(goal=1, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()
    for number in range(MOST_GRANTS):
        for _ in range(3):
            assert declare(world, device, number).status_code == 200
    refused = declare(world, device, MOST_GRANTS)
    assert (refused.status_code, refused.json()["type"]) == (409, Problem.TOO_MANY_GRANTS.urn)
    assert declare(world, device, 0).status_code == 409, "also one that it had declared before"
    assert declare(world, device, MOST_GRANTS - 1).status_code == 200
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    assert receipt.grants == MOST_GRANTS


def test_a_declaration_whose_answer_was_lost_counts_once(world: World) -> None:
    world.model(goal=1, quorum=1)
    world.tick()
    (device,) = world.devices(1)
    device.check_in()

    def twice(called: str, proceed: Callable[[], Any]) -> Any:
        if called == "UpdateItem":
            proceed()
        return proceed()

    world.calls.between = twice
    for number in range(3):
        assert declare(world, device, number).status_code == 200
    world.calls.between = None
    receipt = world.services.rounds.receipt(RoundId("toy", 1), device.client_id)
    assert receipt
    assert receipt.grants == 3


def test_a_device_that_was_refused_another_grant_can_still_report_what_it_declared_last(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=0)
    world.tick()
    (device,) = world.devices(1)
    assignment = device.check_in()
    assert assignment.kind == "train"
    for number in range(MOST_GRANTS - 1):
        declare(world, device, number)
    device.take_part(assignment, Drift(0.1))
    world.deliver()
    assert device.receipt("toy.1").state == "accepted"


# ---- the deadline of an aggregation


@pytest.mark.parametrize("trouble", ["silent workers", "a store that fails"])
def test_a_round_that_aggregates_for_too_long_is_abandoned_by_name_and_leaves_nothing(trouble: str) -> None:
    world = World(part_reads=1)
    try:
        world.model(goal=2, quorum=2, evaluators=1, aggregate_seconds=1800, rounds=2)
        devices = world.devices(3)
        world.tick()
        for device in devices:
            assert device.check_in().kind == "train"
        for device in devices[:2]:
            world.update(device)
            world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
        world.tick()
        rnd = world.services.rounds.latest("toy")
        assert rnd
        assert rnd.phase is Phase.AGGREGATING
        if trouble == "a store that fails":
            key = keys.MANIFEST.key(round="toy.1", sha256=rnd.manifest_sha256)
            world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"no manifest")
        world.clock.advance(1799)
        if trouble == "silent workers":
            world.tick()
        else:
            with pytest.raises(ExceptionGroup):
                world.tick()
        assert world.operator.round("toy", 1).phase == "aggregating"
        world.clock.advance(1)
        world.tick()
        shown = world.operator.round("toy", 1)
        assert (shown.phase, shown.reason) == ("abandoned", "aggregation-timed-out: no version after 1800 seconds")
        assert (shown.assigned, shown.reported, shown.late) == (0, 0, 3)
        assert {device.receipt("toy.1").reason for device in devices} == {"round-abandoned", "round-closed"}
        assert objects(world, "updates/") == objects(world, "parts/") == set()
        status = world.operator.status("toy")
        assert status.round
        assert (status.round.number, status.round.phase, status.newest_version) == (2, "collecting", 0)
    finally:
        world.close()
