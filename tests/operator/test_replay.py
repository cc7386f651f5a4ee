"""A version computed again by an operator: exported, replayed without a server, held against what was published."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from botocore.credentials import Credentials
from rich.console import Console
from typer.testing import CliRunner

from chalicelib.rounds.operators import exports
from chalicelib.storage import keys
from chalicelib.storage.presign import Presigner
from muster.aggregation.assembly import assemble
from muster.aggregation.manifest import Entry, Manifest
from muster.http.errors import Untrusted
from muster.http.transport import REPLY_LIMIT_BYTES
from muster.operator import export as exporting
from muster.operator.cli.app import app
from muster.operator.cli.session import Session
from muster.operator.client import NoAddress
from muster.operator.folder import RoundFolder, state_path, update_content
from muster.wire import admin
from muster.wire.admin import Clipping, Outliers, Rule
from muster.wire.refs import canonical_json, digest
from tests.fleet import World, checkpoint
from tests.operator.terminal import Output, Terminal
from tests.rounds.playing import run_round

ROBUST: dict[str, Any] = {
    "aggregator": Rule(name="trimmed-mean", parameters={"trim": 1}),
    "optimizer": Rule(name="yogi"),
    "clipping": Clipping(norm=0.3, adaptive=True),
}
"""A rule that reads all updates of a coordinate, an optimizer with state, and a norm that goes along with the version."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exported"


def offline(line: str) -> tuple[int, str, str]:
    """A command where no server can be reached: status, what it prints, what it complains of."""

    def nowhere() -> Any:
        raise NoAddress("there is no network")

    out, err = Output(), Output()
    session = Session(nowhere, Console(file=out, width=160), Console(file=err, width=160))
    found = CliRunner().invoke(app, line.split(), obj=session)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    said, complained = out.getvalue(), err.getvalue()
    return found.exit_code, said, complained


def two_rounds(world: World) -> None:
    """Two rounds of a robust rule: the second starts from a version with state."""
    run_round(world, rounds=2, keep_updates=True, quorum=3, **ROBUST)
    run_round(world, number=2)


def fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the files that exports fetch from now on."""
    seen: list[str] = []
    save = world.operator.save

    def noting(url: str, sha256: str, limit: int, file: IO[bytes]) -> None:
        seen.append(sha256)
        save(url, sha256, limit, file)

    monkeypatch.setattr(world.operator, "save", noting)
    return seen


def forge(folder: Path, *, update: bytes | None = None, **changes: Any) -> None:
    """What a server could have published instead: another manifest, or another first update, with digests that fit together."""
    document = json.loads((folder / "version.json").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
    if update is not None:
        manifest["entries"][0] |= {"sha256": digest(update), "nbytes": len(update)}
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    if update is not None:
        first = Manifest.from_bytes(canonical_json(manifest)).entries[0]
        (folder / update_content(first).path).write_bytes(update)
    document["manifest_sha256"] = digest((folder / "manifest.json").read_bytes())
    (folder / "version.json").write_bytes(canonical_json(document))
    about = json.loads((folder / "round.json").read_bytes())
    about["document_sha256"] = digest((folder / "version.json").read_bytes())
    (folder / "round.json").write_text(json.dumps(about))


# ---- the same version


def test_an_exported_round_of_the_mean_makes_the_published_version_again(world: World, muster: Terminal, folder: Path) -> None:
    sha256 = run_round(world, keep_updates=True)
    told = muster.text("round export toy.1 {}", folder)
    assert "3 updates" in told
    assert f"muster round replay {folder}" in told.replace("\n", "")
    status, said, _ = offline(f"round replay {folder}")
    assert status == 0
    assert said.count(sha256) == 2, "once as published, once as computed again"
    assert "equal" in said
    assert "DIFFERENT" not in said


def test_a_robust_round_with_an_optimizers_state_makes_version_and_state_again(
    world: World, muster: Terminal, folder: Path
) -> None:
    two_rounds(world)
    newest = world.services.registry.newest("toy")
    assert newest
    assert newest.optimizer
    made = muster.json("round export toy.2 {}", folder)
    assert (made["round"], made["version"], made["updates"], made["files"]) == ("toy.2", 2, 3, 1 + 2 + 3)
    assert (made["fetched"], made["kept"]) == (6, 0)
    status, said, _ = offline(f"round replay {folder} --json")
    found = json.loads(said)
    closed = world.services.rounds.get("toy", 2)
    assert closed
    published = {"checkpoint": newest.checkpoint.sha256, "clip norm": repr(newest.clip_norm), "claim cap": "40"}
    published |= {"norm bound": repr(closed.norm_bound)}
    published |= {f"state {file.letter}": file.sha256 for file in newest.optimizer.files}
    assert len(published) == 6
    assert found["compared"] == {name: {"published": value, "recomputed": value} for name, value in published.items()}
    assert (status, found["equal"], found["document_sha256"]) == (0, True, newest.document_sha256)


def test_a_folder_holds_just_what_it_needs_and_only_its_owner_can_read_it(world: World, muster: Terminal, folder: Path) -> None:
    two_rounds(world)
    muster.text("round export toy.2 {}", folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    names = {path.partition(".")[0] for path in found}
    assert names == {
        "round", "version", "manifest", "base", "state/m", "state/v",
        "updates/device-003", "updates/device-004", "updates/device-005",
    }  # fmt: skip
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_verify_recomputes_a_version_and_leaves_no_update_behind(
    world: World, muster: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    two_rounds(world)
    found = muster.json("version verify toy newest --recompute")
    assert (found["verified"], found["recomputed"]["equal"], found["recomputed"]["round"]) == (True, True, "toy.2")
    assert found["recomputed"]["compared"]["checkpoint"]["recomputed"] == found["checkpoint"]["sha256"]
    assert "equal" in muster.text("version verify toy 1 --recompute")
    assert "recomputed" not in muster.json("version verify toy 1")
    assert list(tmp_path.iterdir()) == []


def test_an_update_that_claims_to_be_compressed_is_aggregated_exported_and_verified_as_it_is_stored(
    world: World, muster: Terminal, folder: Path
) -> None:
    devices = world.devices(3)
    world.model(keep_updates=True, evaluators=0)
    world.tick()
    for device in devices:
        world.update(device)
    for found in world.s3.list_objects_v2(Bucket=world.settings.bucket, Prefix="updates/")["Contents"]:
        where: dict[str, Any] = {"Bucket": world.settings.bucket, "Key": found["Key"]}
        world.s3.put_object(**where, Body=world.s3.get_object(**where)["Body"].read(), ContentEncoding="gzip")
    world.deliver()
    world.tick()
    assert world.operator.round("toy", 1).accepted == 3
    assert muster.json("round export toy.1 {}", folder)["updates"] == 3
    assert offline(f"round replay {folder}")[0] == 0
    assert muster.json("version verify toy newest --recompute")["recomputed"]["equal"]


# ---- another version


def test_another_update_makes_another_version_and_that_has_its_own_exit_status(
    world: World, muster: Terminal, folder: Path
) -> None:
    sha256 = run_round(world, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    other = sorted((folder / "updates").iterdir())[1].read_bytes()
    forge(folder, update=other)
    status, said, _ = offline(f"round replay {folder}")
    assert status == 5
    assert said.count(sha256) == 1
    assert "DIFFERENT" in said
    status, said, _ = offline(f"round replay {folder} --json")
    assert (status, json.loads(said)["equal"]) == (5, False)


def test_another_norm_for_the_next_round_is_told(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world, keep_updates=True, **ROBUST, quorum=3)
    muster.text("round export toy.1 {}", folder)
    document = json.loads((folder / "version.json").read_bytes()) | {"clip_norm": 9.0}
    (folder / "version.json").write_bytes(canonical_json(document))
    forge(folder)
    status, said, _ = offline(f"round replay {folder} --json")
    found = json.loads(said)
    assert (status, found["compared"]["clip norm"]["published"]) == (5, "9.0")
    assert found["compared"]["checkpoint"]["published"] == found["compared"]["checkpoint"]["recomputed"]


def test_a_server_that_published_something_else_is_found_out(
    world: World, muster: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice_as_far(manifest: Manifest, base: Any, state: Any, gradient: Any, norm: Any) -> Any:
        doubled = ((part, {name: 2 * array for name, array in result.items()}) for part, result in gradient)
        return assemble(manifest, base, state, doubled, norm)

    monkeypatch.setattr("chalicelib.rounds.phases.publishing.assemble", twice_as_far)
    run_round(world, keep_updates=True)
    assert muster.json("version verify toy 1")["verified"], "its digests are in order"
    found = muster("version verify toy 1 --recompute --json")
    said = json.loads(found.said)
    assert (found.exit_code, said["verified"], said["recomputed"]["equal"]) == (5, False, False)
    assert muster("version verify toy 1 --recompute").exit_code == 5


def test_a_quarantined_update_is_not_exported_and_the_bound_that_left_it_out_is_computed_again(
    world: World, muster: Terminal, folder: Path
) -> None:
    world.model(keep_updates=True, outliers=Outliers(least=3))
    world.tick()
    devices = world.devices(4)
    for device, step in zip(devices, [0.1, 0.2, 50.0, 0.3], strict=True):
        world.update(device, step=step)
    world.play(devices)
    assert world.operator.round("toy", 1).rejected == {"norm-outlier": 1}
    assert muster.json("round export toy.1 {}", folder)["updates"] == 3
    assert not list(folder.glob("updates/device-002*"))
    status, said, _ = offline(f"round replay {folder} --json")
    found = json.loads(said)["compared"]
    assert (status, list(found)) == (0, ["checkpoint", "norm bound", "claim cap"])
    forge(folder, norm_bound=60.0)
    status, said, _ = offline(f"round replay {folder} --json")
    assert (status, json.loads(said)["compared"]["norm bound"]["published"]) == (5, "60.0")
    forge(folder, claim_cap=7)
    status, said, _ = offline(f"round replay {folder} --json")
    assert (status, json.loads(said)["compared"]["claim cap"]["published"]) == (5, "7")


def test_a_rule_that_is_not_installed_is_told(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    forge(folder, aggregator={"name": "our-own", "parameters": {}})
    status, _, complained = offline(f"round replay {folder}")
    assert status == 2
    assert "our-own" in complained


# ---- what cannot be computed again


def test_a_round_that_kept_no_updates_says_so_and_how_to_keep_them(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world)
    for line in ("round export toy.1 {}", "version verify toy 1 --recompute"):
        complaint = muster.fails(line, 1, folder)
        assert "The round's updates were deleted" in complaint
        assert "expected a round whose configuration says keep_updates" in complaint
        assert '{"keep_updates": true}' in complaint
    assert not folder.exists()


def test_a_round_that_has_published_nothing_is_refused_by_name(world: World, muster: Terminal, folder: Path) -> None:
    world.model()
    world.tick()
    complaint = muster.fails("round export toy.1 {}", 1, folder)
    assert "round toy.1 is collecting" in complaint
    assert "next  muster round list toy" in complaint
    muster.text("round abandon toy --because wrong-data")
    assert "wrong-data" in muster.fails("round export toy.1 {}", 1, folder)
    assert "no round toy.7" in muster.fails("round export toy.7 {}", 1, folder)
    assert "digits.12" in muster.fails("round export toy {}", 2, folder)
    assert not folder.exists()


def test_a_version_that_no_round_made_cannot_be_computed_again(world: World, muster: Terminal) -> None:
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(1.0))
    assert "no round made toy.v1" in muster.fails("version verify toy 1 --recompute", 2)


def test_while_its_version_is_judged_a_round_can_be_exported_although_it_keeps_nothing(
    world: World, muster: Terminal, folder: Path
) -> None:
    world.model()
    world.tick()
    devices = world.devices(3)
    for device in devices:
        world.update(device)
    world.tick()
    world.deliver()
    world.tick()
    assert world.operator.round("toy", 1).phase == "evaluating"
    muster.text("round export toy.1 {}", folder)
    assert offline(f"round replay {folder}")[0] == 0


def test_an_update_that_is_gone_from_the_store_is_named_with_the_reason(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world, keep_updates=True)
    (key,) = [key for key in world.everything()[1] if "/device-001/" in key]
    world.s3.delete_object(Bucket=world.settings.bucket, Key=key)
    complaint = muster.fails("round export toy.1 {}", 1, folder)
    assert "updates/device-001." in complaint
    assert "keep_updates" in complaint
    assert offline(f"round replay {folder}")[0] == 4


# ---- a folder that was changed


@pytest.mark.parametrize("path", ["version.json", "manifest.json", "base.safetensors", "state/v.safetensors", "updates/*004*"])
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "missing"])
def test_a_file_that_is_gone_or_changed_is_named_and_exported_anew(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, gone: bool
) -> None:
    two_rounds(world)
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
    two_rounds(world)
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
    run_round(world, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    (file,) = folder.glob("updates/device-001.*")
    monkeypatch.setattr(RoundFolder, "check", lambda self, manifest: file.write_bytes(file.read_bytes()[:-1]))
    status, _, complained = offline(f"round replay {folder}")
    assert status == 4
    assert f"changed: {file.relative_to(folder)}" in complained


@pytest.mark.parametrize("change", [{"entries": 3}, {"base": None}])
def test_a_manifest_that_is_none_is_told(world: World, muster: Terminal, folder: Path, change: dict[str, Any]) -> None:
    run_round(world, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    forge(folder, **change)
    status, _, complained = offline(f"round replay {folder}")
    assert status == 4
    assert "manifest.json is of a release that this one does not understand" in complained


def test_a_document_that_names_no_manifest_is_told(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world, keep_updates=True)
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


# ---- interrupted, and in pages


@pytest.mark.parametrize("after", range(1, 7))
def test_an_export_that_was_interrupted_anywhere_goes_on_without_fetching_anything_twice(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(exporting, "CONNECTIONS", 1)
    two_rounds(world)
    save = world.operator.save
    seen: list[str] = []

    def dying(url: str, sha256: str, limit: int, file: IO[bytes]) -> None:
        if len(seen) == after:
            file.write(b"half of it")
            raise KeyboardInterrupt
        seen.append(sha256)
        save(url, sha256, limit, file)

    monkeypatch.setattr(world.operator, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        exporting.export(world.operator, "toy", 2, folder)
    assert offline(f"round replay {folder}")[0] == 4
    assert not list(folder.rglob("*.partial"))

    monkeypatch.setattr(world.operator, "save", save)
    rest = fetched(world, monkeypatch)
    made = muster.json("round export toy.2 {}", folder)
    assert len(seen + rest) == len(set(seen + rest)) == 7
    assert (made["fetched"], made["kept"]) == (7 - after, after - 1)
    assert offline(f"round replay {folder}")[0] == 0
    assert muster.json("round export toy.2 {}", folder)["fetched"] == 0


@pytest.mark.parametrize(("updates", "nbytes"), [(2, 1 << 30), (200, 1)], ids=["by-number", "by-bytes"])
def test_updates_come_in_pages_and_only_those_are_asked_for_that_hold_what_is_missing(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, updates: int, nbytes: int
) -> None:
    run_round(world, keep_updates=True)
    monkeypatch.setattr(exports, "PAGE", updates)
    monkeypatch.setattr(exports, "PAGE_BYTES", nbytes)
    names: list[list[str]] = []
    after: str | None = None
    while not names or after:
        page = world.operator.round_files("toy", 1, after)
        names.append([file.name or file.kind for file in page.files])
        after = page.after
    clients = [f"device-00{number}" for number in range(3)]
    width = updates if updates < 3 else 1
    assert names[0] == ["manifest", "base", *clients[:width]]
    assert [name for some in names[1:] for name in some] == clients[width:]

    muster.text("round export toy.1 {}", folder)
    assert offline(f"round replay {folder}")[0] == 0
    (last,) = folder.glob("updates/device-002.*")
    last.unlink()
    asked: list[str | None] = []
    pages = world.operator.round_files

    def noting(model: str, number: int, after: str | None = None) -> admin.RoundFileList:
        asked.append(after)
        return pages(model, number, after)

    monkeypatch.setattr(world.operator, "round_files", noting)
    muster.text("round export toy.1 {}", folder)
    assert asked == [None, "device-001"]


def test_an_export_that_was_killed_before_it_wrote_a_first_file_goes_on(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world, keep_updates=True)
    folder.mkdir()
    (folder / ".round.json.partial").write_text("{")
    muster.text("round export toy.1 {}", folder)
    assert offline(f"round replay {folder}")[0] == 0
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize("hidden", ["manifest", "base", "device-001"])
def test_a_file_that_the_server_should_list_and_does_not_is_told(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    run_round(world, keep_updates=True)
    pages = world.operator.round_files

    def hiding(model: str, number: int, after: str | None = None) -> admin.RoundFileList:
        page = pages(model, number, after)
        return page.model_copy(update={"files": [file for file in page.files if hidden not in (file.kind, file.name)]})

    monkeypatch.setattr(world.operator, "round_files", hiding)
    complaint = muster.fails("round export toy.1 {}", 4, folder)
    assert "the server does not list" in complaint
    assert hidden in complaint


def test_bytes_that_are_not_what_was_announced_are_not_kept(world: World, muster: Terminal, folder: Path) -> None:
    run_round(world, keep_updates=True)
    (key,) = [key for key in world.everything()[1] if "/device-001/" in key]
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"something else")
    assert "updates/device-001." in muster.fails("round export toy.1 {}", 4, folder)
    assert not list(folder.glob("updates/*device-001*"))


def test_a_version_of_another_round_is_not_taken_for_this_ones(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_rounds(world)
    version = world.operator.version
    monkeypatch.setattr(world.operator, "version", lambda model, number: version(model, 1))
    assert "its document says otherwise" in muster.fails("round export toy.2 {}", 4, folder)


# ---- the server's page


def test_a_manifest_that_is_not_the_frozen_one_is_a_failure_and_not_an_answer(world: World) -> None:
    run_round(world, keep_updates=True)
    (key,) = [key for key in world.everything()[1] if "/manifests/" in key]
    data = world.s3.get_object(Bucket=world.settings.bucket, Key=key)["Body"].read()
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=data.replace(b"device-001", b"device-007"))
    assert world.request("GET", "/v1/admin/models/toy/rounds/1/files").status_code == 500


@pytest.mark.parametrize("query", ["after=../x", "before=1", "after="])
def test_a_page_that_cannot_be_is_refused(world: World, query: str) -> None:
    run_round(world, keep_updates=True)
    assert world.request("GET", f"/v1/admin/models/toy/rounds/1/files?{query}").status_code == 422


def test_only_what_the_manifest_names_is_listed(world: World) -> None:
    world.model(goal=4, quorum=2, keep_updates=True)
    world.tick()
    devices = world.devices(3)
    for device in devices:
        world.update(device)
    world.deliver()
    world.operator.revoke(devices[1].client_id)
    world.clock.advance(3600)
    world.play([devices[0], devices[2]])
    page = world.operator.round_files("toy", 1)
    assert [file.name for file in page.files if file.kind == "update"] == [devices[0].client_id, devices[2].client_id]
    assert len([key for key in world.everything()[1] if key.startswith("updates/")]) == 2, "what it was not made of is deleted"


def test_a_page_costs_two_rows_and_the_manifest_once(world: World) -> None:
    run_round(world, keep_updates=True)
    found = []
    for after in (None, "device-000", "device-001"):
        with world.calls.count() as operations:
            world.operator.round_files("toy", 1, after)
        found.append(operations)
    assert found == [["GetItem", "GetItem", "GetObject"], ["GetItem", "GetItem"], ["GetItem", "GetItem"]]


def test_a_function_that_listed_one_round_lists_another_one(world: World) -> None:
    two_rounds(world)
    names = [[file.name for file in world.operator.round_files("toy", number).files][-1] for number in (1, 2, 1)]
    assert names == ["device-002", "device-005", "device-002"]


def test_a_full_page_of_the_longest_urls_is_a_reply_that_the_client_takes() -> None:
    presigner = Presigner(
        credentials=Credentials("A" * 20, "s" * 40, "t" * 1500),
        region="eu-central-1",
        bucket="b" * 63,
        endpoint=None,
        seconds=900,
    )
    key = keys.UPDATE.key(round=f"{'m' * 48}.12345678", client="c" * 64, sha256="0" * 64)
    file = admin.RoundFile(kind="update", name="c" * 64, sha256="0" * 64, bytes=10**9, url=presigner.get(key))
    assert exports.PAGE * (len(file.model_dump_json()) + 1) < REPLY_LIMIT_BYTES / 1.5


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
