"""A backup of a stack that goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from muster import Device
from muster.operator.backup import cut as backup_cut
from muster.operator.backup.check import check
from muster.operator.backup.errors import (
    Unsteady,
)
from muster.operator.backup.folder import BackupFolder
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode
from tests.fleet import BASE, Drift, World
from tests.operator.backup.stacks import dump, made, restored, revision, train


def moves(world: World, devices: list[Device]) -> Iterator[None]:
    """A life: rounds open, are trained, judged and decided; devices are enrolled; an operator deploys and rolls back."""
    token = world.token(uses=500)
    for number in count():
        world.tick()
        yield
        for device in devices:
            assignment = device.check_in()
            if assignment.kind == "train":
                device.take_part(assignment, Drift(0.1))
            elif assignment.kind == "evaluate":
                device.judge(assignment, Drift(0.0))
            yield
        world.deliver()
        yield
        devices.append(world.device(token, f"latecomer-{number}"))
        yield
        world.clock.advance(60)
        world.monitor()
        yield
        if number % 4 == 3:
            world.operator.deploy("toy", 1, revision=revision(world))
            yield
            world.operator.rollback("toy", revision=revision(world))
            yield
        if number % 3 == 2:
            now = world.operator.status("toy")
            world.operator.configure(
                "toy", now.config.model_copy(update={"min_gain": number / 1000}), revision=now.config_revision
            )
            yield
        if number % 5 == 4:
            world.operator.create_model(f"other-{number}", encode(BASE), RoundConfig(goal=2, quorum=1))
            yield


@pytest.mark.parametrize("pace", [1, 3])
def test_a_backup_of_a_stack_that_moves_between_all_its_reads_holds_together(
    old: tuple[World, list[Device]], tmp_path: Path, pace: int
) -> None:
    world, devices = old
    life, inside, reads = moves(world, devices), False, 0

    def lively(operation: str, proceed: Callable[[], Any]) -> Any:
        nonlocal inside, reads
        if not inside and operation in ("Scan", "Query", "TransactGetItems", "GetObject"):
            reads += 1
            if reads % pace == 0:
                inside = True
                next(life)
                inside = False
        return proceed()

    first = world.services.rounds.latest("toy")
    world.calls.between = lively
    done = made(world, tmp_path, page_rows=2)
    world.calls.between = None
    last = world.services.rounds.latest("toy")
    assert first
    assert last
    assert last.number > first.number + (1 if pace == 1 else 0), "rounds went by while it was read"
    check(BackupFolder(tmp_path))

    target = world.second_stack()
    restored(world, tmp_path, target)
    rounds = [r["sk"]["S"] for r in dump(BackupFolder(tmp_path), "rounds") if r["sk"]["S"].startswith("round#")]
    world.move_to(target)
    there = world.services.rounds.latest("toy")
    assert there
    assert there.number == len(set(rounds)) == len(rounds)
    assert done.manifest.tables["clients"].rows > 0
    fleet = {client.client_id for client in world.operator.clients()}
    claimed = sum(token.claimed for token in world.operator.tokens())
    assert claimed >= len(fleet), "who is there has used its token"
    train(world, world.devices(3))
    assert world.operator.version("toy", "newest").round == there.number + 1


def test_devices_that_are_enrolled_and_admitted_while_rows_are_read_are_there(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, _ = old
    token, numbers = world.token(), iter(range(2))

    def enrolling(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Scan" and (number := next(numbers, None)) is not None:
            assert world.device(token, f"latecomer-{number}").check_in().kind == "train"
        return proceed()

    world.calls.between = enrolling
    made(world, tmp_path, page_rows=None)
    world.calls.between = None
    there = {row["sk"]["S"] for row in dump(BackupFolder(tmp_path), "clients")}
    assert {"client#latecomer-0", "client#latecomer-1"} <= there


def test_a_device_that_reported_a_round_that_is_lost_sits_out_the_one_that_gets_its_number(
    old: tuple[World, list[Device]], tmp_path: Path
) -> None:
    world, devices = old
    made(world, tmp_path)
    world.update(devices[1])
    world.deliver()
    world.play(devices)
    world.update(devices[2])
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    world.tick()
    assert devices[2].check_in().reason == "already-done"  # type: ignore[union-attr]
    train(world, devices)
    assert devices[2].check_in().kind == "train"


def test_a_model_that_moves_while_its_ends_are_read_is_looked_at_again(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    obstacles = iter(["moved", "conflict"])

    def once_each(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactGetItems":
            match next(obstacles, None):
                case "moved":
                    world.operator.deploy("toy", 0, revision=revision(world))
                case "conflict":
                    raise ClientError({"Error": {"Code": "TransactionCanceledException", "Message": ""}}, operation)
        return proceed()

    world.calls.between = once_each
    made(world, tmp_path)
    world.calls.between = None
    deployed = [row for row in dump(BackupFolder(tmp_path), "versions") if row["sk"]["S"].startswith("deployment#")]
    assert len(deployed) == revision(world)


def test_the_record_of_a_round_that_ends_after_the_cut_is_left_out(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, devices = old

    def ending(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Scan":
            world.calls.between = None
            world.update(devices[1])
            world.deliver()
            world.play(devices)
            world.monitor()
        return proceed()

    world.calls.between = ending
    made(world, tmp_path)
    records = {row["sk"]["S"] for row in dump(BackupFolder(tmp_path), "monitoring") if row["pk"]["S"] == "records#toy"}
    assert "round#00000003" in records
    assert "round#00000004" not in records
    target = world.second_stack()
    restored(world, tmp_path, target)
    world.move_to(target)
    world.tick()
    world.monitor()
    assert world.operator.metric("toy", "abandoned").max == 1


def test_a_model_that_never_stands_still_is_named(
    old: tuple[World, list[Device]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = old
    monkeypatch.setattr(backup_cut, "TRIES", 3)

    def restless(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactGetItems":
            world.calls.between = None
            latest = world.operator.version("toy", "champion").version
            world.operator.deploy("toy", 0 if latest else 1, revision=revision(world))
            world.calls.between = restless
        return proceed()

    world.calls.between = restless
    with pytest.raises(Unsteady, match="toy"):
        made(world, tmp_path)
