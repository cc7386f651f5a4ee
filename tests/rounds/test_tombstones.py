"""Whatever else looks at versions lives with those that were deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.instants import utc_now
from chalicelib.registry.retention import GRACE
from chalicelib.registry.sweep import EVERY
from chalicelib.storage import keys
from muster.http.errors import Refused
from muster.operator.export import export
from muster.wire.problems import Problem
from tests.fleet import World, checkpoint
from tests.operator.backup.stacks import made as backed_up
from tests.operator.backup.stacks import restored
from tests.operator.terminal import Terminal
from tests.rounds.playing import run_round

GONE = {1, 2}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Four rounds, whose updates are kept, have made versions 1 to 4; 1 and 2 are deleted, 5 expires."""
    monkeypatch.setattr("chalicelib.rounds.reaching.KEPT_STEPS", 0)
    made = World()
    made.relive(four_rounds)
    yield made
    made.close()


def four_rounds(world: World) -> None:
    world.clock.now = utc_now()
    run_round(world, rounds=4, keep_updates=True, keep_versions=2)
    for number in (2, 3, 4):
        run_round(world, number=number)
    world.monitor()
    sweep(world)
    sweep(world)
    for number in (5, 6, 7):
        world.operator.register("toy", checkpoint(number / 16))
    world.clock.advance(GRACE.total_seconds() - 86_400)
    world.tick()
    for _ in range(3):
        sweep(world)
    assert {one.version for one in world.operator.versions("toy") if one.deleted_at} == GONE
    assert {one.version for one in world.operator.versions("toy") if one.expires_at} == {5}


def sweep(world: World) -> None:
    world.clock.advance(EVERY.total_seconds())
    world.tick()


def test_a_backup_of_tombstones_holds_together_and_a_restored_stack_has_them_and_all_of_the_grace(
    world: World, tmp_path: Path
) -> None:
    before = {one.version: one for one in world.operator.versions("toy")}
    made = backed_up(world, tmp_path)
    stored = {one.key for one in made.manifest.objects}
    for number, version in before.items():
        row = world.services.registry.known("toy", number)
        assert (keys.CHECKPOINT.key(sha256=row.checkpoint.sha256) in stored) == (version.deleted_at is None)
        assert (keys.DOCUMENT.key(sha256=row.document_sha256) in stored) == (version.deleted_at is None)
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    for one in world.operator.versions("toy"):
        was = before[one.version]
        assert (one.deleted_at, one.state, one.base, one.parent) == (was.deleted_at, was.state, was.base, was.parent)
        assert one.expires_at is None
    assert world.operator.status("toy").storage is None, "counted again"
    world.tick()
    sweep(world)
    assert {one.version for one in world.operator.versions("toy") if one.expires_at} == {5}
    sweep(world)
    assert {one.version for one in world.operator.versions("toy") if one.deleted_at} == GONE


def test_what_a_deleted_version_was_made_of_is_refused_by_name_and_the_folder_stays_empty(world: World, tmp_path: Path) -> None:
    for number in (1, 2, 3):  # the third starts from version 2
        with pytest.raises(Refused) as refused:
            export(world.operator, "toy", number, tmp_path / str(number))
        assert refused.value.problem is Problem.VERSION_DELETED
        assert not (tmp_path / str(number)).exists()
    assert export(world.operator, "toy", 4, tmp_path / "4").published.version == 4


def test_rounds_states_metrics_and_the_history_of_deployments_are_shown_as_ever(world: World) -> None:
    versions = {one.version: one for one in world.operator.versions("toy")}
    assert [versions[number].state for number in (0, 1, 2)] == ["retired"] * 3
    assert [versions[number].base for number in (1, 2)] == [0, 1]
    assert versions[2].evaluation
    assert world.operator.version("toy", "retired").version == 3, "a state is that of a version that is there"
    assert {one.version for one in world.operator.versions("toy", "retired")} == {0, 1, 2, 3}
    assert [one.version for one in world.operator.rounds("toy")] == [4, 3, 2, 1]
    assert [one.version for one in world.operator.deployments("toy")] == [4, 3, 2, 1, 0]
    assert world.operator.metric("toy", "accuracy", hours=400).count
    assert world.operator.retention("toy")


def test_training_goes_on_and_starts_from_what_is_there(world: World) -> None:
    world.operator.start("toy", 5)
    run_round(world, number=5)
    made = world.operator.version("toy", "newest")
    assert (made.round, made.base, made.version) == (5, 4, 8)


def test_the_status_says_what_versions_take_as_the_last_sweep_counted(world: World) -> None:
    storage, muster = world.operator.status("toy").storage, Terminal(world)
    assert storage
    assert storage.counted_at == world.clock()
    nbytes = len(checkpoint(0))
    assert (storage.checkpoints.count, storage.checkpoints.bytes) == (6, 6 * nbytes)
    assert (storage.expiring.count, storage.expiring.bytes, storage.deleted) == (1, nbytes, 2)
    assert "6 checkpoints" in muster.text("status toy")
    assert "versions expiring: 1 (350 B), deleted: 2" in muster.text("status toy")
    shown = muster.text("model retention toy")
    assert "last, challenger" in shown
    assert "1-2" in shown
    assert [one["version"] for one in muster.json("model retention toy --keep-versions 3") if one["fate"] == "unmarked"] == [5]
    assert "--keep-versions" in muster.fails("model retention toy --keep-versions 1", 2)


def test_a_row_that_cannot_be_read_keeps_everything_of_all_models(world: World) -> None:
    table = world.services.registry._table
    key = {name: {"S": value} for name, value in keys.VERSION.key(model="toy", version=1).items()}
    table._client.put_item(TableName=table.name, Item={**key, "number": {"S": "one"}})
    world.model("other", rounds=0, keep_versions=2)
    before = {one.version: one.deleted_at for one in world.operator.versions("toy")}
    for _ in range(10):
        sweep(world)
    assert {one.version: one.deleted_at for one in world.operator.versions("toy")} == before
    assert [one.version for one in world.operator.retention("toy")] == [7, 6, 5, 4, 3, 2, 0]


def test_a_model_whose_row_cannot_be_read_loses_nothing(world: World) -> None:
    table = world.services.registry._table
    key = {name: {"S": value} for name, value in keys.MODEL.key(model="toy").items()}
    table._client.put_item(TableName=table.name, Item={**key, "config": {"S": "nonsense"}})
    objects = world.everything()[1]
    for _ in range(10):
        sweep(world)
    assert world.services.registry.known("toy", 3).deleted_at is None
    assert world.everything()[1] == objects
