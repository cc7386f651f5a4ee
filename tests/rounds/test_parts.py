"""Parts of an aggregation: done once each, stage after stage, by whoever comes; who is late or mistaken changes nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from chalicelib.rounds.moves import Phase
from chalicelib.rounds.phases.aggregating import Aggregating
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from muster import Device
from muster.aggregation.manifest import MANIFEST_LIMIT_BYTES, Manifest
from muster.aggregation.replay import replay
from muster.wire.admin import Rule
from muster.wire.arrays import decode, encode
from muster.wire.refs import digest
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.fleet import World


@pytest.fixture
def aggregating() -> Any:
    """A world whose workers read one update each, and a round of four updates that has just been frozen."""
    world = World(part_reads=1)
    world.model(goal=4, quorum=4, evaluators=1)
    devices = world.devices(4)
    world.tick()
    for number, device in enumerate(devices):
        world.update(device, step=0.1 * number, examples=10 + number)
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert world.services.coordinator._phases[Phase.COLLECTING].advance(rnd)
    for url in (world.settings.inspection_queue_url, world.settings.work_queue_url):
        world.sqs.purge_queue(QueueUrl=url)
    yield world, devices
    world.close()


def current(world: World) -> Round:
    rnd = world.services.rounds.latest("toy")
    assert rnd
    return rnd


def asked(world: World) -> list[dict[str, Any]]:
    """The messages that wait for the workers, taken from the queue."""
    found = []
    while received := world.sqs.receive_message(QueueUrl=world.settings.work_queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in received:
            found.append(json.loads(message["Body"]))
            world.sqs.delete_message(QueueUrl=world.settings.work_queue_url, ReceiptHandle=message["ReceiptHandle"])
    return found


def results(world: World) -> set[str]:
    prefix = keys.PART.prefix(round="toy.1", plan="").rstrip("/")
    return {key.rpartition("/")[2] for key in world.services.blobs.names(prefix)}


def work(world: World, message: dict[str, Any], **changed: Any) -> bool:
    worker: Aggregating = world.services.aggregating
    return worker.work(**{**{"model": "", "number": 0, "plan": "", "stage": 0, "part": 0}, **message, **changed})


def test_a_stage_is_asked_for_when_the_one_before_it_is_done_without_waiting(
    aggregating: tuple[World, list[Device]],
) -> None:
    world, _ = aggregating
    stages: list[int] = []
    while current(world).phase is Phase.AGGREGATING:
        world.services.coordinator.reconcile("toy")
        messages = asked(world)
        assert {message["stage"] for message in messages} <= {len(stages)}
        if not messages:
            break
        done = [work(world, message) for message in messages]
        assert done == [False] * (len(messages) - 1) + [True], "the last one to finish says so"
        stages.append(len(messages))
    # Four tiles of an update each, two sums of two, one of both, and the publication.
    assert stages == [4, 2, 1, 1]
    assert current(world).phase is Phase.EVALUATING


def test_parts_that_are_under_way_are_not_asked_for_again_before_their_time(aggregating: tuple[World, list[Device]]) -> None:
    world, _ = aggregating
    world.services.coordinator.reconcile("toy")
    first = asked(world)
    work(world, first[0])
    world.services.coordinator.reconcile("toy")
    assert asked(world) == []
    world.clock.advance(world.settings.part_seconds)
    world.services.coordinator.reconcile("toy")
    assert asked(world) == first[1:], "only what is missing"


def test_a_worker_that_repeats_or_is_of_another_plan_or_comes_after_the_end_writes_nothing(
    aggregating: tuple[World, list[Device]],
) -> None:
    world, devices = aggregating
    world.services.coordinator.reconcile("toy")
    message, undone = asked(world)[:2]
    work(world, message)
    with world.calls.count() as calls:
        work(world, message)
        work(world, undone, plan="0" * 12)
        work(world, undone, number=7)
    assert not [call for call in calls if call.startswith(("Put", "Update", "Delete"))]
    world.clock.advance(world.settings.part_seconds)
    world.play(devices)
    assert current(world).phase is Phase.COMPLETED
    with world.calls.count() as calls:
        assert not work(world, message)
    assert calls == ["GetItem"]


def test_a_publication_that_comes_before_its_time_publishes_nothing_and_asks_to_reconcile(
    aggregating: tuple[World, list[Device]],
) -> None:
    world, _ = aggregating
    world.services.coordinator.reconcile("toy")
    message = asked(world)[0]
    assert work(world, message, stage=3, part=0)
    assert current(world).phase is Phase.AGGREGATING
    assert world.operator.status("toy").newest_version == 0


def test_parts_are_the_same_whoever_does_them_and_in_whatever_order(aggregating: tuple[World, list[Device]]) -> None:
    world, _ = aggregating
    world.services.coordinator.reconcile("toy")
    messages = asked(world)
    for message in reversed(messages):
        world.restart()
        work(world, message)
    assert {"0-000000.safetensors", "0-000003.safetensors"} <= results(world)
    world.services.coordinator.reconcile("toy")
    assert {message["stage"] for message in asked(world)} == {1}


def test_an_update_that_is_gone_abandons_the_round_by_name(aggregating: tuple[World, list[Device]]) -> None:
    world, devices = aggregating
    world.services.coordinator.reconcile("toy")
    messages = asked(world)
    receipt = world.services.rounds.receipt(RoundId("toy", 1), devices[2].client_id)
    assert receipt
    assert receipt.declared
    world.s3.delete_object(Bucket=world.settings.bucket, Key=receipt.declared.key)
    for message in messages:
        work(world, message)
    rnd = current(world)
    assert rnd.phase is Phase.ABANDONED
    assert rnd.reason == f"update-missing: of client {devices[2].client_id}"


def test_a_round_that_is_too_much_for_a_look_is_left_to_the_workers_even_in_one_part(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.rounds.phases.aggregating.QUICK_BYTES", 10)
    world.model(goal=2, quorum=2, evaluators=1)
    devices = world.devices(2)
    world.tick()
    for device in devices:
        world.update(device)
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)
    world.tick()
    assert current(world).phase is Phase.AGGREGATING
    (part,) = asked(world)
    assert (part["stage"], part["part"]) == (0, 0)
    assert work(world, part)
    world.services.coordinator.reconcile("toy")
    (publication,) = asked(world)
    assert publication["stage"] == 1
    assert work(world, publication)
    assert current(world).phase is Phase.EVALUATING
    assert not work(world, publication), "it is published"


@pytest.mark.parametrize("rule", [Rule(name="mean"), Rule(name="multi-krum", parameters={"byzantine": 0, "keep": 2})])
def test_grids_of_each_element_are_parts_of_their_own_and_the_version_is_what_one_process_makes(rule: Rule) -> None:
    world = World(part_reads=1)
    base = encode({"w": np.ones(3000), "v": np.ones(3000, "f4")})
    world.model(
        goal=4,
        quorum=4,
        evaluators=0,
        tensors=decode(base, HEADER_LIMIT_BYTES),
        aggregator=rule,
        max_norm=1e30,
        outliers="none",
    )
    world.tick()
    files, rng = {}, np.random.default_rng(3)
    for number, device in enumerate(world.devices(4)):
        device.check_in()
        update = {"w": rng.standard_normal(3000), "v": rng.standard_normal(3000).astype("f4")}
        update["v"][7] = 1e20 if number == 2 else 0.0
        files[device.client_id] = encode(update)
        device.submit("toy.1", files[device.client_id], 10 + number, {})
        world.services.inspector.inspect(RoundId("toy", 1), device.client_id)
    stages: list[int] = []
    while current(world).phase in (Phase.COLLECTING, Phase.AGGREGATING) and len(stages) < 20:
        world.services.coordinator.reconcile("toy")
        messages = [message for message in asked(world) if "part" in message]
        for message in messages * 2:
            work(world, message)
        stages.append(len(messages))
    rnd = current(world)
    assert rnd.manifest_sha256
    manifest = Manifest.from_bytes(
        world.services.blobs.read(keys.MANIFEST.key(round="toy.1", sha256=rnd.manifest_sha256), MANIFEST_LIMIT_BYTES)
    )
    model = replay(manifest, base, {}, lambda entry: files[entry.client_id])["model"]
    assert world.operator.version("toy", 1).checkpoint.sha256 == digest(model)
    assert sum(stages) > 8, "peaks and sums, a part for each update, and what joins them"
    world.close()
