"""The drill: a restored stack is the old one, and goes on."""

from __future__ import annotations

import json
from pathlib import Path

from chalicelib.rounds.moves import Phase
from muster import Device
from muster.layout import TABLES
from muster.operator.backup.folder import BackupFolder
from tests.fleet import World
from tests.operator.backup.stacks import dump, everything, made, restored, train


def test_a_restored_stack_is_the_old_one_but_for_open_rounds_and_what_is_not_copied(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, _ = old
    before, objects = everything(world, world.settings)
    target = world.second_stack()
    made(world, tmp_path)
    done = restored(world, tmp_path, target)
    after, copied = everything(world, target)

    assert done.abandoned == ("toy.4",)
    outbox = {name for name in before if "/outbox/" in name}
    assert outbox
    copied_rows = {row["pk"]["S"] for table in TABLES for row in dump(BackupFolder(tmp_path), table)}
    assert not copied_rows & {"outbox", "restore", "sweep"}
    hints = {name for name in before if name.startswith(("rounds_table/counters#", "rounds_table/look#"))}
    shares = {name for name in before if name.startswith("clients_table/fleet#")}
    tallies = {name for name in before if "/tally#" in name}
    vitals = {name for name in before if name.startswith(("monitoring_table/now/pulse", "monitoring_table/now/trouble#"))}
    days = {name for name in before if name.startswith("monitoring_table/days#")}
    left = outbox | hints | shares | tallies | vitals | days | {"versions_table/sweep/sweep"}
    first = "clients_table/fleet/fleet"
    assert before.keys() - left | {first} == after.keys() - {"versions_table/restore/restore"}
    different = {name for name in before.keys() - left - {first} if before[name] != after[name]}
    assert different == {"rounds_table/model#toy/round#00000004"}
    assert after[first]["enrolled"] == sum(before[name]["enrolled"] for name in before.keys() & {first, *shares}) == 4
    assert objects - copied == {key for key in objects if key.startswith(("updates/", "deltas/"))}
    for key in copied:
        bodies = [world.s3.get_object(Bucket=s.bucket, Key=key)["Body"].read() for s in (world.settings, target)]
        assert bodies[0] == bodies[1]


def test_training_goes_on_in_the_restored_stack(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, devices = old
    deployed = world.operator.version("toy", "champion")
    statistics = world.operator.statistics()
    samples = sum(client.samples for client in world.operator.clients())
    tokens = [(token.uses, token.claimed) for token in world.operator.tokens()]
    alerts = {alert.metric for alert in world.operator.alerts("toy")}
    target = world.second_stack()
    made(world, tmp_path)
    restored(world, tmp_path, target)
    world.move_to(target)

    assert world.operator.version("toy", "champion").checkpoint.sha256 == deployed.checkpoint.sha256
    for version in world.operator.versions("toy"):
        document = json.loads(world.operator.document(version))
        assert document["checkpoint"]["sha256"] == version.checkpoint.sha256
        world.operator.download(version.checkpoint)
    assert world.operator.version("toy", 2).state == "rolled-back"
    assert [device.model()[0] for device in devices] == [deployed.version] * 4
    assert [(token.uses, token.claimed) for token in world.operator.tokens()] == tokens
    assert {alert.metric for alert in world.operator.alerts("toy")} == alerts

    world.monitor()
    found = world.operator.statistics()
    assert (found.clients, found.revoked, found.samples) == (statistics.clients, statistics.revoked, samples)

    world.tick()
    rnd = world.services.rounds.get("toy", 4)
    assert rnd
    assert (rnd.phase, rnd.summary is not None) == (Phase.ABANDONED, True)
    receipt = devices[0].receipt("toy.4")
    assert (receipt.state, receipt.reason) == ("late", "round-abandoned")
    newest = world.operator.version("toy", "newest")
    train(world, devices)
    after = world.operator.version("toy", "newest")
    assert (after.version, after.base) == (newest.version + 1, newest.version)
    optimizer = world.services.registry.version("toy", after.version)
    assert optimizer
    assert optimizer.optimizer
    assert optimizer.optimizer.step == 4, "the optimizer went on from its state"


def test_a_round_that_evaluates_is_abandoned_and_its_version_stays_staged(world: World, tmp_path: Path) -> None:
    world.model(goal=2, quorum=2, evaluators=1, rounds=9)
    devices = world.devices(3)
    world.tick()
    for device in devices[:2]:
        world.update(device)
    world.deliver()
    world.tick()
    assert world.services.rounds.undecided("toy") == 1
    made(world, tmp_path)
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    assert world.operator.version("toy", 1).state == "staged"
    train(world, devices)
    assert world.operator.version("toy", "newest").version == 2
