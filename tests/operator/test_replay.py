"""A version computed again by an operator: exported, replayed without a server, held against what was published."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from muster.aggregation.assembly import assemble
from muster.aggregation.manifest import Manifest
from muster.wire.admin import Outliers
from muster.wire.refs import canonical_json
from tests.fleet import World, checkpoint
from tests.operator.replaying import ROBUST, forge, offline, two_rounds
from tests.operator.terminal import Terminal
from tests.rounds.playing import run_round

# ---- the same version


def test_an_exported_round_of_the_mean_makes_the_published_version_again(world: World, muster: Terminal, folder: Path) -> None:
    sha256 = world.relive(run_round, keep_updates=True)
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
    world.relive(two_rounds)
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
    world.relive(two_rounds)
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
    world.relive(two_rounds)
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
    sha256 = world.relive(run_round, keep_updates=True)
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
    world.relive(run_round, keep_updates=True, **ROBUST, quorum=3)
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
    world.relive(run_round, keep_updates=True)
    muster.text("round export toy.1 {}", folder)
    forge(folder, aggregator={"name": "our-own", "parameters": {}})
    status, _, complained = offline(f"round replay {folder}")
    assert status == 2
    assert "our-own" in complained


# ---- what cannot be computed again


def test_a_round_that_kept_no_updates_says_so_and_how_to_keep_them(world: World, muster: Terminal, folder: Path) -> None:
    world.relive(run_round)
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
    world.relive(run_round, keep_updates=True)
    (key,) = [key for key in world.everything()[1] if "/device-001/" in key]
    world.s3.delete_object(Bucket=world.settings.bucket, Key=key)
    complaint = muster.fails("round export toy.1 {}", 1, folder)
    assert "updates/device-001." in complaint
    assert "keep_updates" in complaint
    assert offline(f"round replay {folder}")[0] == 4
