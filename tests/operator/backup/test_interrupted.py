"""Again, and after an interruption: the same command goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chalicelib.storage import keys
from muster import Device
from muster.layout import TABLES
from muster.operator.backup.check import check
from muster.operator.backup.folder import MANIFEST, BackupFolder
from muster.operator.backup.restoring import restore
from tests.fleet import SESSION, Killed, World
from tests.operator.backup.stacks import began, cloud_of, dump, everything, killed_at, made, restored


def test_a_backup_that_was_killed_at_any_call_goes_on_and_fetches_only_what_is_missing(world: World, tmp_path: Path) -> None:
    world.relive(began)
    whole = made(world, tmp_path / "whole")
    for step in count():
        root = tmp_path / str(step)
        if not killed_at(world, step, lambda root=root: made(world, root)):  # type: ignore[misc]
            break
        assert not (root / MANIFEST).exists()
        again = made(world, root)
        assert again.manifest == whole.manifest
        assert check(BackupFolder(root)) == whole.manifest
    assert step > len(whole.manifest.objects)


def test_a_later_backup_copies_only_new_objects_and_the_one_before_counts_until_it_is_finished(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, devices = old
    first = made(world, tmp_path)
    assert first.fetched == len(first.manifest.objects)
    assert made(world, tmp_path).fetched == 0
    world.update(devices[1])
    world.deliver()
    world.play(devices)
    assert killed_at(world, 6, lambda: made(world, tmp_path))
    assert check(BackupFolder(tmp_path)) == first.manifest
    later = made(world, tmp_path)
    assert 0 < later.fetched < len(later.manifest.objects)
    assert check(BackupFolder(tmp_path)) == later.manifest
    assert len(list((tmp_path / "rows").iterdir())) == 4, "the rows of the one before are gone"


def test_many_connections_read_and_write_the_same(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    one, many = made(world, tmp_path / "one"), made(world, tmp_path / "many", connections=4)
    assert one.manifest.objects == many.manifest.objects
    for table in TABLES:
        rows = [
            sorted(json.dumps(row, sort_keys=True) for row in dump(BackupFolder(tmp_path / name), table))
            for name in ("one", "many")
        ]
        assert rows[0] == rows[1]
    target = world.second_stack()
    restore(cloud_of(target, connections=4), BackupFolder(tmp_path / "many"), world.clock, chunk_rows=50)
    assert len(everything(world, target)[0]) == sum(file.rows for file in many.manifest.tables.values()) + 2


def test_a_restore_that_was_killed_at_any_call_goes_on_to_the_same_end(world: World, tmp_path: Path) -> None:
    world.relive(began)
    made(world, tmp_path)
    whole = world.second_stack("whole")
    restored(world, tmp_path, whole)
    expected = everything(world, whole)
    for step in count():
        target = world.second_stack(f"step-{step}")
        if not killed_at(world, step, lambda target=target: restored(world, tmp_path, target)):  # type: ignore[misc]
            break
        half = everything(world, target)
        if any("/models/" in name for name in half[0]):
            assert (half[0].keys(), half[1]) == (expected[0].keys(), expected[1]), "a model is there only when all else is"
        restored(world, tmp_path, target)
        assert everything(world, target) == expected, step
    assert step > 30


def test_a_restore_that_goes_on_overwrites_nothing_that_has_moved_since(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, devices = old
    source = world.settings
    made(world, tmp_path)
    target = world.second_stack()

    def dies_when_finished(operation: str, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        models = SESSION.resource("dynamodb").Table(target.versions_table)
        if operation == "BatchWriteItem" and models.get_item(Key=keys.MODEL.key(model="toy")).get("Item"):
            raise Killed
        return answer

    world.calls.between = dies_when_finished
    with pytest.raises(Killed):
        restored(world, tmp_path, target)
    world.calls.between = None
    world.move_to(target)
    world.operator.stop("toy")
    devices[0].rotate_key()
    moved, _ = everything(world, target)
    again = restored(world, tmp_path, target)
    assert (again.went_on, again.objects) == (True, 0), "no object is sent twice"
    after, _ = everything(world, target)
    mark = "versions_table/restore/restore"
    assert {name for name in after if after[name] != moved[name]} == {mark}
    assert after[mark]["finished_at"]
    assert source is not target


def test_rows_that_dynamodb_left_unprocessed_are_written_again(
    old: tuple[World, list[Device]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = old
    done = made(world, tmp_path)
    target, refused = world.second_stack(), count()

    def hesitant(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "BatchWriteItem" and next(refused) % 2 == 0:
            return {"UnprocessedItems": requested[-1]}
        return proceed()

    requested: list[Any] = []
    cloud = cloud_of(target)
    write = cloud._dynamodb.batch_write_item

    def noted(**request: Any) -> Any:
        requested.append(request["RequestItems"])
        return write(**request)

    monkeypatch.setattr(cloud._dynamodb, "batch_write_item", noted)
    world.calls.between = hesitant
    restore(cloud, BackupFolder(tmp_path), world.clock, chunk_rows=5)
    world.calls.between = None
    assert next(refused) > 4
    assert len(everything(world, target)[0]) == sum(file.rows for file in done.manifest.tables.values()) + 2
