"""What is refused of stacks that go on, have gaps, or are filled already; and uploads that are not what was checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from chalicelib.storage import keys
from muster import Device
from muster.operator.backup import cloud as backup_cloud
from muster.operator.backup.check import check
from muster.operator.backup.errors import DoesNotHold, NoBackup, NotEmpty, OtherRestore, OtherStack, UnknownRow
from muster.operator.backup.folder import MANIFEST, BackupFolder
from tests.fleet import SESSION, World
from tests.operator.backup.stacks import cloud_of, everything, killed_at, made, restored


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


def test_a_long_object_is_uploaded_in_pieces(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
