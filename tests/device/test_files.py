"""Files of a device: whole or not at all, for their owner only, and still there when the power comes back."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from muster.device import files
from muster.device.files import remove_leftovers, replace_file


@pytest.fixture
def synchronised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synchronised and renamed, in this order."""
    seen: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    return seen


def test_the_content_is_durable_before_the_name_and_the_name_before_the_end(tmp_path: Path, synchronised: list[str]) -> None:
    replace_file(tmp_path / "identity.json", b"me")
    assert synchronised == ["file", "rename", "folder"]
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600


def test_a_new_folder_is_durable_in_those_above_it(tmp_path: Path, synchronised: list[str]) -> None:
    replace_file(tmp_path / "a" / "b" / "identity.json", b"me")
    assert synchronised == ["folder", "folder", "file", "rename", "folder"]


def test_a_platform_that_cannot_synchronise_folders_is_told_of_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    for content in (b"first", b"second"):
        replace_file(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"second"
    assert caplog.text.count("Invalid argument") == 1


def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_a_dead_process_left_half_written_goes_and_a_living_ones_stays(tmp_path: Path) -> None:
    gone = dead()
    kept = {
        f".identity.json.{os.getpid()}",
        f".other.{gone}",
        f"identity.json.{gone}",
        "identity.json",
        ".identity.json.x",
        ".x",
    }
    for name in {*kept, f".identity.json.{gone}", f".toy.feedback.safetensors.{gone}"}:
        (tmp_path / name).write_bytes(b"half")
    remove_leftovers(tmp_path, "identity.json", "toy.feedback.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "none", "identity.json")
    assert not (tmp_path / "none").exists()


def test_where_processes_cannot_be_asked_for_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / f".identity.json.{dead()}"
    left.write_bytes(b"half")
    monkeypatch.setattr(files, "os", type("Elsewhere", (), {"name": "nt"}))
    remove_leftovers(tmp_path, "identity.json")
    assert left.exists()


def test_leftovers_that_cannot_be_deleted_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f".identity.json.{dead()}").write_bytes(b"half")

    def refuse(path: Path, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_leftovers(tmp_path, "identity.json")
    assert "Read-only file system" in caplog.text
