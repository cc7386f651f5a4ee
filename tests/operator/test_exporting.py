"""An export: interrupted and gone on with, in pages, and what the server lists."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest
from botocore.credentials import Credentials

from chalicelib.rounds.operators import exports
from chalicelib.storage import keys
from chalicelib.storage.presign import Presigner
from muster.http.transport import REPLY_LIMIT_BYTES
from muster.operator import export as exporting
from muster.wire import admin
from tests.fleet import World
from tests.operator.replaying import fetched, offline, two_rounds
from tests.operator.terminal import Terminal
from tests.rounds.playing import run_round

# ---- interrupted, and in pages


@pytest.mark.parametrize("after", range(1, 7))
def test_an_export_that_was_interrupted_anywhere_goes_on_without_fetching_anything_twice(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(exporting, "CONNECTIONS", 1)
    world.relive(two_rounds)
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
    world.relive(run_round, keep_updates=True)
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
    world.relive(run_round, keep_updates=True)
    folder.mkdir()
    (folder / ".round.json.partial").write_text("{")
    muster.text("round export toy.1 {}", folder)
    assert offline(f"round replay {folder}")[0] == 0
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize("hidden", ["manifest", "base", "device-001"])
def test_a_file_that_the_server_should_list_and_does_not_is_told(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    world.relive(run_round, keep_updates=True)
    pages = world.operator.round_files

    def hiding(model: str, number: int, after: str | None = None) -> admin.RoundFileList:
        page = pages(model, number, after)
        return page.model_copy(update={"files": [file for file in page.files if hidden not in (file.kind, file.name)]})

    monkeypatch.setattr(world.operator, "round_files", hiding)
    complaint = muster.fails("round export toy.1 {}", 4, folder)
    assert "the server does not list" in complaint
    assert hidden in complaint


def test_bytes_that_are_not_what_was_announced_are_not_kept(world: World, muster: Terminal, folder: Path) -> None:
    world.relive(run_round, keep_updates=True)
    (key,) = [key for key in world.everything()[1] if "/device-001/" in key]
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=b"something else")
    assert "updates/device-001." in muster.fails("round export toy.1 {}", 4, folder)
    assert not list(folder.glob("updates/*device-001*"))


def test_a_version_of_another_round_is_not_taken_for_this_ones(
    world: World, muster: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.relive(two_rounds)
    version = world.operator.version
    monkeypatch.setattr(world.operator, "version", lambda model, number: version(model, 1))
    assert "its document says otherwise" in muster.fails("round export toy.2 {}", 4, folder)


# ---- the server's page


def test_a_manifest_that_is_not_the_frozen_one_is_a_failure_and_not_an_answer(world: World) -> None:
    world.relive(run_round, keep_updates=True)
    (key,) = [key for key in world.everything()[1] if "/manifests/" in key]
    data = world.s3.get_object(Bucket=world.settings.bucket, Key=key)["Body"].read()
    world.s3.put_object(Bucket=world.settings.bucket, Key=key, Body=data.replace(b"device-001", b"device-007"))
    assert world.request("GET", "/v1/admin/models/toy/rounds/1/files").status_code == 500


@pytest.mark.parametrize("query", ["after=../x", "before=1", "after="])
def test_a_page_that_cannot_be_is_refused(world: World, query: str) -> None:
    world.relive(run_round, keep_updates=True)
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


def test_a_page_costs_four_rows_and_the_manifest_once(world: World) -> None:
    world.relive(run_round, keep_updates=True)
    found = []
    for after in (None, "device-000", "device-001"):
        with world.calls.count() as operations:
            world.operator.round_files("toy", 1, after)
        found.append(operations)
    rows = ["GetItem"] * 4
    assert found == [[*rows, "GetObject"], rows, rows]


def test_a_function_that_listed_one_round_lists_another_one(world: World) -> None:
    world.relive(two_rounds)
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
