"""What is refused: targets that are not empty, damaged backups, stacks with gaps."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.storage import keys
from muster import Device
from muster.layout import TableName
from muster.operator.backup import cloud as backup_cloud
from muster.operator.backup.check import check
from muster.operator.backup.errors import (
    DoesNotHold,
    NoBackup,
    NotAsBackedUp,
    NotEmpty,
    OtherRestore,
    OtherStack,
    UnknownRow,
)
from muster.operator.backup.folder import MANIFEST, BackupFolder, object_path, rows_path
from tests.fleet import SESSION, World
from tests.operator.backup.stacks import cloud_of, dump, everything, killed_at, made, restored, spoil_object


def test_a_target_with_anything_in_it_is_refused_and_nothing_is_written(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, _ = old
    made(world, tmp_path)
    for number, table in enumerate(("clients_table", "rounds_table", "versions_table", "monitoring_table")):
        target = world.second_stack(f"target-{number}")
        name = getattr(target, table)
        SESSION.resource("dynamodb").Table(name).put_item(Item={"pk": "models", "sk": "model#other"})
        with pytest.raises(NotEmpty, match=name):
            restored(world, tmp_path, target)
        rows, objects = everything(world, target)
        assert (len(rows), len(objects)) == (1, 0)
    target = world.second_stack("with-object")
    world.s3.put_object(Bucket=target.bucket, Key="states/" + "0" * 64 + ".safetensors", Body=b"")
    with pytest.raises(NotEmpty, match="states/"):
        restored(world, tmp_path, target)
    assert everything(world, target)[0] == {}


def test_what_an_empty_stack_counts_by_itself_is_no_matter(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path)
    source, target = world.settings, world.second_stack()
    world.move_to(target)
    world.monitor()
    assert len(everything(world, target)[0]) == 16
    world.s3.put_object(Bucket=target.bucket, Key="somebody-elses", Body=b"")
    restored(world, tmp_path, target)
    world.clock.advance(301)
    world.monitor()
    assert world.operator.statistics().clients == 4
    assert source is not target


def test_a_stack_is_filled_once_and_from_one_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, devices = old
    made(world, tmp_path / "first")
    world.update(devices[1])
    world.deliver()
    made(world, tmp_path / "second")
    target = world.second_stack()
    assert killed_at(world, 20, lambda: restored(world, tmp_path / "first", target))
    before = everything(world, target)
    with pytest.raises(OtherRestore, match="begun here"):
        restored(world, tmp_path / "second", target)
    assert everything(world, target) == before
    restored(world, tmp_path / "first", target)
    with pytest.raises(NotEmpty, match="was restored here at"):
        restored(world, tmp_path / "first", target)


def test_a_dry_run_checks_all_and_writes_nothing(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path)
    target = world.second_stack()
    assert restored(world, tmp_path, target, dry_run=True).abandoned == ("toy.4",)
    assert everything(world, target) == ({}, set())


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
    old: tuple[World, list[Device]], tmp_path: Path, damage: Callable[[BackupFolder], str]
) -> None:
    world, _ = old
    made(world, tmp_path)
    folder = BackupFolder(tmp_path)
    named = damage(folder)
    target = world.second_stack()
    with pytest.raises(NotAsBackedUp, match=named):
        restored(world, tmp_path, target)
    assert everything(world, target) == ({}, set())
    made(world, tmp_path)
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
    old: tuple[World, list[Device]], tmp_path: Path, table: TableName, sk: str, named: str
) -> None:
    world, _ = old
    made(world, tmp_path)
    folder = BackupFolder(tmp_path)
    without(folder, table, lambda row: row["sk"]["S"] != sk)
    with pytest.raises(DoesNotHold, match=named):
        check(folder)


def test_every_object_that_a_row_names_must_be_in_the_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path)
    folder = BackupFolder(tmp_path)
    manifest = folder.manifest()
    kinds = {stored.key.split("/")[0] for stored in manifest.objects}
    assert kinds == {"checkpoints", "states", "versions", "rounds"}
    for stored in manifest.objects:
        folder.finish(manifest.model_copy(update={"objects": [other for other in manifest.objects if other != stored]}))
        with pytest.raises(DoesNotHold, match=f"object {stored.key}"):
            check(folder)


def test_a_stack_whose_bucket_has_lost_or_damaged_something_is_named(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    key = keys.CHECKPOINT.key(sha256=world.operator.version("toy", 1).checkpoint.sha256)
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"another")
    with pytest.raises(DoesNotHold, match=key):
        made(world, tmp_path)
    world.s3.delete_object(Bucket=world.settings.bucket, Key=key)
    with pytest.raises(DoesNotHold, match=f"{key} is not in bucket"):
        made(world, tmp_path)
    with pytest.raises(NoBackup):
        check(BackupFolder(tmp_path))


def test_a_stack_in_which_a_row_is_gone_that_others_name_is_named(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    table = SESSION.resource("dynamodb").Table(world.settings.versions_table)
    table.delete_item(Key=keys.VERSION.key(model="toy", version=1))
    with pytest.raises(DoesNotHold, match=r"names version toy\.v1"):
        made(world, tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_a_row_of_an_unknown_kind_stops_the_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    SESSION.resource("dynamodb").Table(world.settings.versions_table).put_item(Item={"pk": "cohorts", "sk": "cohort#a"})
    with pytest.raises(UnknownRow, match="cohorts cohort#a"):
        made(world, tmp_path)


def test_a_folder_that_holds_something_else_is_left_alone(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OtherStack, match=r"thesis\.tex"):
        made(world, tmp_path)
    made(world, tmp_path / "backup")
    world.move_to(world.second_stack())
    with pytest.raises(OtherStack, match="second-versions"):
        made(world, tmp_path / "backup")
    outside = {**json.loads((tmp_path / "backup" / MANIFEST).read_bytes()), "objects": [{"key": "../../keys", "bytes": 1}]}
    (tmp_path / "backup" / MANIFEST).write_text(json.dumps(outside))
    with pytest.raises(NoBackup, match="objects that cannot be"):
        check(BackupFolder(tmp_path / "backup"))
    (tmp_path / "backup" / MANIFEST).write_text('{"format":2}')
    with pytest.raises(NoBackup, match="not what this release writes"):
        check(BackupFolder(tmp_path / "backup"))


def test_only_its_owner_can_read_a_backup(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    made(world, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    for path in (tmp_path / "backup" / "rows").iterdir():
        assert b"Bearer" not in gzip.decompress(path.read_bytes())


def test_a_long_object_is_uploaded_in_pieces(
    old: tuple[World, list[Device]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = old
    monkeypatch.setattr(backup_cloud, "PIECE_BYTES", 5 << 20)
    target = world.second_stack()
    world.s3.put_bucket_versioning(Bucket=target.bucket, VersioningConfiguration={"Status": "Enabled"})
    data = bytes(11 << 20)
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "long").write_bytes(data)
    cloud = cloud_of(target)
    for _ in range(2):
        with (tmp_path / "long").open("rb") as file:
            cloud.upload(f"checkpoints/{sha256}.safetensors", sha256, file, len(data))
    assert world.s3.get_object(Bucket=target.bucket, Key=f"checkpoints/{sha256}.safetensors")["Body"].read() == data
    with (tmp_path / "long").open("rb") as file, pytest.raises(DoesNotHold):
        cloud.upload(f"checkpoints/{'0' * 64}.safetensors", "0" * 64, file, len(data))
    assert world.s3.list_multipart_uploads(Bucket=target.bucket).get("Uploads", []) == []
    assert len(world.s3.list_object_versions(Bucket=target.bucket)["Versions"]) == 1, "what is there is left alone"


def test_a_file_that_changes_after_the_check_is_not_uploaded(world: World, tmp_path: Path) -> None:
    target = world.second_stack()
    (tmp_path / "short").write_bytes(b"another")
    with (tmp_path / "short").open("rb") as file, pytest.raises(DoesNotHold, match="in the folder"):
        cloud_of(target).upload(f"states/{'0' * 64}.safetensors", "0" * 64, file, 7)
    assert everything(world, target) == ({}, set())
