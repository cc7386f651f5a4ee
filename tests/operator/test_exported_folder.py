"""The folder that holds an exported round: what is missing or changed in it is named, and nothing is written beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from muster.aggregation.manifest import Entry
from muster.http.errors import Untrusted
from muster.operator.folder import RoundFolder, state_path, update_content
from muster.wire.refs import canonical_json, digest
from tests.fleet import World
from tests.operator.replaying import fetched, forge, offline, two_rounds
from tests.operator.terminal import Terminal
from tests.rounds.playing import run_round

# ---- a folder that was changed


@pytest.mark.parametrize("path", ["version.json", "manifest.json", "base.safetensors", "state/v.safetensors", "updates/*004*"])
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "missing"])
def test_a_file_that_is_gone_or_changed_is_named_and_exported_anew(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, gone: bool
) -> None:
    world.relive(two_rounds)
    muster.text("round export toy.2 {}", folder)
    (file,) = folder.glob(path)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.unlink() if gone else file.write_bytes(data)
    status, said, complained = offline(f"round replay {folder}")
    assert (status, said) == (4, "")
    assert f"{'missing' if gone else 'changed'}: {file.relative_to(folder)}" in complained
    assert "next  muster round export" in complained
    seen = fetched(world, monkeypatch)
    muster.text("round export toy.2 {}", folder)
    assert len(seen) == (0 if path == "version.json" else 1)
    assert offline(f"round replay {folder}")[0] == 0


def test_a_folder_without_a_round_is_told(tmp_path: Path) -> None:
    status, _, complained = offline(f"round replay {tmp_path}")
    assert status == 2
    assert "there is no round.json" in complained


def test_an_export_leaves_a_folder_of_something_else_as_it_is(world: World, muster: Terminal, folder: Path) -> None:
    world.relive(two_rounds)
    muster.text("round export toy.1 {}", folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "toy.1" in muster.fails("round export toy.2 {}", 2, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    mine = folder.parent / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("thirty years")
    assert "not empty" in muster.fails("round export toy.2 {}", 2, mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


def test_an_update_that_becomes_shorter_while_it_is_read_is_named(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.relive(run_round, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    (file,) = folder.glob("updates/device-001.*")
    monkeypatch.setattr(RoundFolder, "check", lambda self, manifest: file.write_bytes(file.read_bytes()[:-1]))
    status, _, complained = offline(f"round replay {folder}")
    assert status == 4
    assert f"changed: {file.relative_to(folder)}" in complained


@pytest.mark.parametrize("change", [{"entries": 3}, {"base": None}])
def test_a_manifest_that_is_none_is_told(world: World, muster: Terminal, folder: Path, change: dict[str, Any]) -> None:
    world.relive(run_round, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    forge(folder, **change)
    status, _, complained = offline(f"round replay {folder}")
    assert status == 4
    assert "manifest.json is of a release that this one does not understand" in complained


def test_a_document_that_names_no_manifest_is_told(world: World, muster: Terminal, folder: Path) -> None:
    world.relive(run_round, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    document = canonical_json({**json.loads((folder / "version.json").read_bytes()), "manifest_sha256": None})
    (folder / "version.json").write_bytes(document)
    about = json.loads((folder / "round.json").read_bytes()) | {"document_sha256": digest(document)}
    (folder / "round.json").write_text(json.dumps(about))
    status, _, complained = offline(f"round replay {folder}")
    assert status == 4
    assert "names no manifest" in complained


def test_a_folder_of_a_later_format_is_not_guessed_at(tmp_path: Path) -> None:
    about = {"format": 2, "round": "toy.1", "version": 1, "document_sha256": "0" * 64}
    (tmp_path / "round.json").write_text(json.dumps(about))
    status, _, complained = offline(f"round replay {tmp_path}")
    assert status == 2
    assert "format is not valid" in complained


# ---- names out of a hostile manifest


@pytest.mark.parametrize(
    "name", [lambda: update_content(entry("../../.ssh/keys")), lambda: update_content(entry("pump-1", "/../x")),
             lambda: state_path("../v"), lambda: update_content(entry(""))],
)  # fmt: skip
def test_a_name_that_could_lead_out_of_the_folder_is_refused(name: Callable[[], object]) -> None:
    with pytest.raises(Untrusted):
        name()


def test_ids_that_differ_only_in_case_have_names_that_differ_in_more(tmp_path: Path) -> None:
    names = {update_content(entry(client, digest(client.encode()))).path.lower() for client in ("Pump-1", "pump-1")}
    assert len(names) == 2


def test_a_file_replaces_another_one_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RoundFolder(tmp_path)
    folder.write("updates/a", lambda file: file.write(b"before"))

    def failing(file: IO[bytes]) -> None:
        file.write(b"af")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        folder.write("updates/a", failing)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "updates").iterdir()] == [("a", b"before")]


def entry(client: str, sha256: str = hashlib.sha256().hexdigest()) -> Entry:
    return Entry(client_id=client, key="key", etag="etag", sha256=sha256, nbytes=1, examples=1, norm=1.0, header_bytes=10)
