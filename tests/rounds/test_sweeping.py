"""The sweep: what nothing names goes, what anything names or is about to name stays, and one that dies is followed by another.

The store dates objects by the machine's clock, so these worlds begin at that time; nothing here waits for it to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.instants import utc_now
from chalicelib.registry.sweep import EVERY, HOLD, KEPT, ORPHANED
from chalicelib.registry.version import Version
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round_id import RoundId
from chalicelib.storage import keys
from muster import Device
from muster.wire.admin import Rule, Strategy
from muster.wire.problems import Problem
from tests.fleet import CONFIG, Killed, World, checkpoint
from tests.operator.backup.stacks import made as backed_up

MOMENTUM = Rule(name="sgd", parameters={"momentum": 0.9})
A_SWEEP = EVERY.total_seconds()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.clock.now = utc_now()
    yield made
    made.close()


def training(world: World, rounds: int = 9, **config: Any) -> list[Device]:
    """A model with an optimizer's state, and two devices."""
    world.model(goal=1, quorum=1, over_selection=3.0, evaluators=1, rounds=rounds, optimizer=MOMENTUM, **config)
    return world.devices(2)


def play_round(world: World, devices: list[Device], step: float = 0.4) -> Version:
    """A round that the first device trains; its version."""
    world.clock.advance(60)
    world.tick()
    world.update(devices[0], step=step)
    world.play(devices)
    version = world.services.registry.newest("toy")
    assert version
    return version


def rest(world: World) -> None:
    """Open no further round, and end the one that is open."""
    world.operator.stop("toy")
    world.tick()
    last = world.services.rounds.latest("toy")
    if last and not last.is_terminal:
        world.operator.abandon("toy", last.number)
        world.tick()


def named(world: World, *versions: Version) -> set[str]:
    found = set[str]()
    for version in versions or tuple(world.services.registry.versions("toy")):
        found.add(keys.CHECKPOINT.key(sha256=version.checkpoint.sha256))
        found.add(keys.DOCUMENT.key(sha256=version.document_sha256))
        found |= passing(version)
    return found


def passing(version: Version) -> set[str]:
    """What a version names for as long as it is of use."""
    states = version.optimizer.files if version.optimizer else ()
    found = {keys.STATE.key(sha256=file.sha256) for file in states}
    return found | {
        keys.DELTA.key(base_sha256=delta.base_sha256, target_sha256=version.checkpoint.sha256)
        for delta in version.checkpoint.deltas
    }


def stored(world: World) -> set[str]:
    """Objects that versions name, or could."""
    return {key for key in world.everything()[1] if key.startswith(("checkpoints/", "deltas/", "states/", "versions/"))}


def orphans(world: World, count: int = 1) -> set[str]:
    made = set[str]()
    for number in range(count):
        sha256 = f"{number:02x}" * 32
        made |= {kind.key(sha256=sha256) for kind in (keys.CHECKPOINT, keys.DOCUMENT, keys.STATE)}
        made.add(keys.DELTA.key(base_sha256=sha256, target_sha256=sha256))
    for key in made:
        world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"nobody's")
    return made


def sweep(world: World) -> None:
    """Let the time pass until the next sweep, and the tick come. Training rests meanwhile: this is about the bucket."""
    world.clock.advance(A_SWEEP)
    world.tick()


def at(world: World, operation: str, act: Callable[[], object]) -> None:
    """Let something happen right before the next call of an operation."""

    def between(called: str, proceed: Callable[[], Any]) -> Any:
        if called == operation:
            world.calls.between = None
            act()
        return proceed()

    world.calls.between = between


def test_what_nothing_names_is_deleted_when_it_is_two_days_old_and_everything_else_stays(world: World, tmp_path: Path) -> None:
    devices = training(world)
    for _ in range(2):
        play_round(world, devices)
    rest(world)
    made = orphans(world)
    sweep(world)
    assert stored(world) == named(world) | made, "a day old: it may be an upload that is about to be registered"
    sweep(world)
    assert timedelta(seconds=2 * A_SWEEP) > ORPHANED
    assert stored(world) == named(world)
    world.operator.start("toy", 4)
    assert play_round(world, devices).number == 3
    assert backed_up(world, tmp_path)


def abort_at_the_end(world: World, devices: list[Device]) -> set[str]:
    """A round that stores a whole version and loses the race to name it; what it left."""
    before = stored(world)
    world.tick()
    world.update(devices[0])
    at(world, "TransactWriteItems", lambda: world.operator.abandon("toy", 1))
    world.deliver()
    assert world.operator.round("toy", 1).phase == "abandoned"
    left = stored(world) - before
    assert {key.split("/")[0] for key in left} == {"checkpoints", "deltas", "states", "versions"}
    return left


def test_a_publication_that_lost_its_race_leaves_nothing_for_long(world: World) -> None:
    devices = training(world)
    left = abort_at_the_end(world, devices)
    rest(world)
    for _ in range(2):
        sweep(world)
    assert not left & stored(world)
    assert stored(world) == named(world)


@pytest.mark.parametrize("meets", ["a look before the names are read again", "the deletion", "a look that had begun before"])
def test_a_version_that_comes_to_name_an_old_orphan_finds_it_or_makes_it_again(world: World, meets: str) -> None:
    """The same updates to the same base make the same bytes: those that a lost race has left days ago."""
    devices = training(world)
    left = abort_at_the_end(world, devices)
    rest(world)
    sweep(world)
    world.clock.advance(A_SWEEP - 60)
    world.operator.start("toy", 9)
    world.tick()
    number = world.services.rounds.latest("toy").number  # type: ignore[union-attr]
    world.update(devices[0])
    world.services.inspector.inspect(RoundId("toy", number), devices[0].client_id)
    world.sqs.purge_queue(QueueUrl=world.settings.inspection_queue_url)
    world.clock.advance(60)

    def look() -> None:
        world.services.coordinator.reconcile("toy")

    match meets:
        case "a look before the names are read again":
            # The sweep runs alone, has read all names and lists the bucket; then the version is born.
            at(world, "ListObjectsV2", look)
            world.services.coordinator._sweeper.sweep_if_due()
            assert world.services.rounds.latest("toy").phase is Phase.EVALUATING  # type: ignore[union-attr]
        case "the deletion":
            at(world, "DeleteObjects", look)
            world.services.coordinator._sweeper.sweep_if_due()
            assert world.services.rounds.latest("toy").phase is Phase.AGGREGATING  # type: ignore[union-attr]
        case _:
            # Everything is stored, and the whole sweep comes before the transaction.
            at(world, "TransactWriteItems", lambda: world.services.coordinator._sweeper.sweep_if_due())
            look()
            assert world.services.rounds.latest("toy").phase is Phase.AGGREGATING  # type: ignore[union-attr]
    world.calls.between = None
    world.tick()
    version = world.services.registry.newest("toy")
    assert version
    assert version.number == 1
    assert keys.CHECKPOINT.key(sha256=version.checkpoint.sha256) in left
    assert named(world) <= stored(world)
    world.play(devices)
    assert world.operator.version("toy", 1).state == "deployed"


@pytest.mark.parametrize("path", ["/v1/admin/models/toy/versions", "/v1/admin/models"])
def test_an_old_upload_that_is_swept_while_it_is_registered_is_missing_and_named_by_nothing(world: World, path: str) -> None:
    training(world, rounds=0)
    world.tick()
    upload = world.operator._upload(checkpoint(0.5))
    assert keys.CHECKPOINT.key(sha256=upload.sha256) in stored(world)
    world.clock.advance(2 * A_SWEEP)
    at(world, "TransactWriteItems", world.tick)
    body: dict[str, Any] = {"checkpoint": upload.model_dump()}
    answer = world.request("POST", path, body=body | ({"name": "other", "config": CONFIG} if path.endswith("models") else {}))
    assert answer.json()["type"] == Problem.UPLOAD_MISSING.urn
    assert named(world) <= stored(world)
    assert [model.model for model in world.operator.models()] == ["toy"]
    assert len(list(world.operator.versions("toy"))) == 1


def test_old_versions_let_go_their_states_and_deltas_unless_they_are_in_use(world: World, tmp_path: Path) -> None:
    devices = training(world)
    for _ in range(3):
        play_round(world, devices)  # each is deployed, so that rollback may lead to it
    for _ in range(3):
        play_round(world, devices, step=-0.01)  # each is staged
    rest(world)
    versions = {version.number: version for version in world.services.registry.versions("toy")}
    assert all(passing(version) for number, version in versions.items() if number)
    last = world.services.rounds.latest("toy")
    assert last
    assert (last.base.version, last.deployed.version) == (6, 3)
    gone = {4, 5}
    world.clock.advance(KEPT.total_seconds())
    for _ in range(2):
        world.tick()
        assert stored(world) == named(world, *versions.values()), "what is let go now, the next sweep deletes"
        world.clock.advance(A_SWEEP / 2)
    world.clock.advance(A_SWEEP / 2)
    world.tick()
    now = {version.number: version for version in world.services.registry.versions("toy")}
    assert {number for number in versions if now[number] != versions[number]} == gone
    deleted = set().union(*(passing(versions[number]) for number in gone))
    assert stored(world) == named(world, *versions.values()) - deleted == named(world)
    assert backed_up(world, tmp_path)
    # One of them may still be deployed; a round that starts from it begins its optimizer anew.
    number = max(gone)
    world.operator.deploy("toy", str(number), revision=world.operator.status("toy").deployment_revision)
    world.operator.start("toy", 20)
    version = play_round(world, devices)
    assert version.base == number
    assert version.optimizer
    assert version.optimizer.step == 1


def test_a_version_on_its_way_to_the_clients_keeps_what_they_download_however_long_that_takes(world: World) -> None:
    devices = training(world, min_gain=1.0)  # no round deploys
    play_round(world, devices)
    strategy = Strategy(kind="rolling", steps=[10.0, 20.0], pause_seconds=31 * 86_400.0)
    world.operator.deploy("toy", 1, strategy=strategy, revision=1)
    for _ in range(2):
        play_round(world, devices)  # so that the last round has nothing to do with it
    rest(world)
    version = world.services.registry.version("toy", 1)
    assert version
    assert version.checkpoint.deltas
    world.clock.advance(KEPT.total_seconds())
    for _ in range(2):
        sweep(world)
    assert world.services.registry.present("toy").rollout
    assert world.services.registry.version("toy", 1) == version
    assert passing(version) <= stored(world)


def test_a_rollback_names_the_deltas_that_are_there(world: World) -> None:
    devices = training(world)
    for _ in range(2):
        play_round(world, devices)
    world.services.registry.let_go("toy", 1)
    world.operator.rollback("toy", revision=world.operator.status("toy").deployment_revision)
    served = world.services.registry.deployment("toy")
    assert served
    assert (served.stable.version, served.stable.deltas) == (1, ())


def test_a_sweep_that_dies_in_the_middle_is_followed_by_one_that_goes_on_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.storage.blobs.LIST_PAGE", 3)
    training(world, rounds=0)
    world.tick()
    made = orphans(world, 6)
    sweep(world)
    seen = [0]

    def die(called: str, proceed: Callable[[], Any]) -> Any:
        seen[0] += called == "DeleteObjects"
        if seen[0] == 3:
            raise Killed(called)
        return proceed()

    world.calls.between = die
    with pytest.raises(Killed):
        sweep(world)
    world.calls.between = None
    left = made & stored(world)
    assert 0 < len(left) < len(made)
    came_to = world.services.registry.sweep().after
    assert came_to
    world.restart()
    world.clock.advance(60)
    world.tick()
    assert made & stored(world) == left, "not every minute"
    with world.calls.count() as calls:
        sweep(world)
    assert stored(world) == named(world)
    assert calls.count("DeleteObjects") < 8
    assert world.services.registry.sweep().after is None


def test_a_sweep_that_dies_while_it_holds_keeps_a_version_waiting_for_minutes_and_no_longer(world: World) -> None:
    devices = training(world)
    world.tick()
    orphans(world)
    sweep(world)
    at(world, "DeleteObjects", _killed)
    with pytest.raises(Killed):
        sweep(world)
    world.calls.between = None
    world.restart()
    world.update(devices[0])
    world.deliver()
    assert world.services.rounds.latest("toy").phase is Phase.AGGREGATING  # type: ignore[union-attr]
    world.clock.advance(HOLD.total_seconds())
    world.tick()
    assert world.services.rounds.latest("toy").phase is Phase.EVALUATING  # type: ignore[union-attr]


def _killed() -> None:
    raise Killed("in the middle")


def test_of_two_ticks_at_once_one_sweeps(world: World) -> None:
    training(world, rounds=0)
    world.tick()
    registry = world.services.registry
    last = registry.sweep()
    world.clock.advance(A_SWEEP)
    mine = registry.begin_sweep(last, world.clock())
    assert mine
    world.clock.advance(1)
    assert registry.begin_sweep(last, world.clock()) is None
    theirs = registry.begin_sweep(mine, world.clock())
    assert theirs
    assert not registry.note_swept(mine, "checkpoints/0")
    assert not registry.hold(mine, world.clock())
    assert registry.sweep() == theirs


def test_neither_an_empty_stack_nor_one_that_is_being_restored_is_swept(world: World) -> None:
    made = orphans(world)
    for _ in range(3):
        sweep(world)
    rows, objects = world.everything()
    assert ({name.partition("/")[2] for name in rows} - {"now/pulse"}, objects) == (set(), made)
    training(world, rounds=0)
    world.tick()
    table = world.services.registry._table
    table._client.put_item(TableName=table.name, Item={name: {"S": value} for name, value in keys.RESTORE.key().items()})
    for _ in range(3):
        sweep(world)
    assert made < stored(world)
    table.delete(keys.RESTORE.key())
    sweep(world)
    assert stored(world) == named(world)
