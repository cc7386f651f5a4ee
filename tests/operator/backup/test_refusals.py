"""What is refused: targets that are not empty, damaged backups. One stack with a past serves all tests: none changes it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from muster.layout import TableName
from muster.operator.backup.check import check
from muster.operator.backup.errors import DoesNotHold, NotAsBackedUp, NotEmpty
from muster.operator.backup.folder import BackupFolder, object_path, rows_path
from tests.fleet import SESSION, World
from tests.operator.backup.stacks import dump, everything, lived, made, restored, spoil_object

pytestmark = pytest.mark.xdist_group("backups")


@pytest.fixture(scope="module")
def old() -> Iterator[World]:
    world = World()
    lived(world)
    before = everything(world, world.settings)
    yield world
    assert everything(world, world.settings) == before
    world.close()


def test_a_target_with_anything_in_it_is_refused_and_nothing_is_written(old: World, tmp_path: Path) -> None:
    made(old, tmp_path)
    for number, table in enumerate(("clients_table", "rounds_table", "versions_table", "monitoring_table")):
        target = old.second_stack(f"target-{number}")
        name = getattr(target, table)
        SESSION.resource("dynamodb").Table(name).put_item(Item={"pk": "models", "sk": "model#other"})
        with pytest.raises(NotEmpty, match=name):
            restored(old, tmp_path, target)
        rows, objects = everything(old, target)
        assert (len(rows), len(objects)) == (1, 0)
    target = old.second_stack("with-object")
    old.s3.put_object(Bucket=target.bucket, Key="states/" + "0" * 64 + ".safetensors", Body=b"")
    with pytest.raises(NotEmpty, match="states/"):
        restored(old, tmp_path, target)
    assert everything(old, target)[0] == {}


def test_a_dry_run_checks_all_and_writes_nothing(old: World, tmp_path: Path) -> None:
    made(old, tmp_path)
    target = old.second_stack("dry")
    assert restored(old, tmp_path, target, dry_run=True).abandoned == ("toy.4",)
    assert everything(old, target) == ({}, set())


def lose_object(folder: BackupFolder) -> str:
    path = object_path(next(o.key for o in folder.manifest().objects if o.key.startswith("checkpoints/")))
    (folder.root / path).unlink()
    return f"missing: {path}"


def cut_rows(folder: BackupFolder) -> str:
    path = rows_path("rounds", folder.manifest().tables["rounds"].sha256)
    (folder.root / path).write_bytes((folder.root / path).read_bytes()[:-20])
    return f"changed: {path}"


def lose_rows(folder: BackupFolder) -> str:
    path = rows_path("versions", folder.manifest().tables["versions"].sha256)
    (folder.root / path).unlink()
    return f"missing: {path}"


@pytest.mark.parametrize("damage", [spoil_object, lose_object, cut_rows, lose_rows])
def test_a_damaged_backup_is_refused_by_the_file_and_backing_up_again_heals_it(
    old: World, tmp_path: Path, damage: Callable[[BackupFolder], str]
) -> None:
    made(old, tmp_path)
    folder = BackupFolder(tmp_path)
    named = damage(folder)
    target = old.second_stack(damage.__name__.replace("_", "-"))
    with pytest.raises(NotAsBackedUp, match=named):
        restored(old, tmp_path, target)
    assert everything(old, target) == ({}, set())
    made(old, tmp_path)
    check(folder)


def without(folder: BackupFolder, table: TableName, wanted: Callable[[Any], bool]) -> None:
    """Write a backup anew with some rows left out, as if they had never been read."""
    manifest = folder.manifest()
    file = folder.write_rows(table, [row for row in dump(folder, table) if wanted(row)])
    folder.finish(manifest.model_copy(update={"tables": {**manifest.tables, table: file}}))


@pytest.mark.parametrize(
    ("table", "sk", "named"),
    [
        ("versions", "version#00000001", r"version toy\.v1"),
        ("versions", "deployment#00000002", "revision 2 of toy"),
        ("versions", "model#toy", "model toy"),
        ("rounds", "round#00000002", r"round toy\.2"),
        ("clients", "client#device-0", "client device-0"),
    ],
)
def test_a_backup_in_which_something_is_named_that_is_not_there_is_refused(
    old: World, tmp_path: Path, table: TableName, sk: str, named: str
) -> None:
    made(old, tmp_path)
    folder = BackupFolder(tmp_path)
    without(folder, table, lambda row: row["sk"]["S"] != sk)
    with pytest.raises(DoesNotHold, match=named):
        check(folder)


def test_every_object_that_a_row_names_must_be_in_the_backup(old: World, tmp_path: Path) -> None:
    made(old, tmp_path)
    folder = BackupFolder(tmp_path)
    manifest = folder.manifest()
    kinds = {stored.key.split("/")[0] for stored in manifest.objects}
    assert kinds == {"checkpoints", "states", "versions", "rounds"}
    for stored in manifest.objects:
        folder.finish(manifest.model_copy(update={"objects": [other for other in manifest.objects if other != stored]}))
        with pytest.raises(DoesNotHold, match=f"object {stored.key}"):
            check(folder)


def test_only_its_owner_can_read_a_backup(old: World, tmp_path: Path) -> None:
    made(old, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    for path in (tmp_path / "backup" / "rows").iterdir():
        assert b"Bearer" not in gzip.decompress(path.read_bytes())
