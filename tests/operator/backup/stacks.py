"""Stacks with a past, and how the tests of backups look at them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chalicelib.settings import Settings
from infra.memory.session import SparingSession
from muster import Device
from muster.layout import TableName
from muster.operator.backup.cloud import Cloud, Places
from muster.operator.backup.folder import BackupFolder, object_path
from muster.operator.backup.making import Made, back_up
from muster.operator.backup.restoring import Restored, restore
from muster.wire.failures import FailureReason
from tests.fleet import Killed, World

AWS = SparingSession()
ROOT = Path(__file__).parent.parent.parent.parent


def cloud_of(settings: Settings, connections: int = 1, page_rows: int | None = 4) -> Cloud:
    places = Places(
        clients=settings.clients_table,
        rounds=settings.rounds_table,
        versions=settings.versions_table,
        monitoring=settings.monitoring_table,
        bucket=settings.bucket,
    )
    dynamodb, s3 = (AWS.create_client(service, region_name="us-east-1") for service in ("dynamodb", "s3"))
    return Cloud(dynamodb=dynamodb, s3=s3, places=places, connections=connections, page_rows=page_rows)


def made(world: World, root: Path, **options: Any) -> Made:
    return back_up(cloud_of(world.settings, **options), BackupFolder(root), now=world.clock)


def restored(world: World, root: Path, target: Settings, **options: Any) -> Restored:
    return restore(cloud_of(target), BackupFolder(root), world.clock, chunk_rows=10, **options)


def revision(world: World) -> int:
    return next(world.operator.deployments("toy")).revision


def train(world: World, devices: list[Device], step: float = 0.1) -> None:
    """One round of the toy model, from its opening to its end."""
    world.tick()
    for device in devices[:2]:
        world.update(device, step=step)
    world.deliver()
    world.play(devices)


def cloudwatch_is_down(operation: str, proceed: Callable[[], Any]) -> Any:
    if operation == "PutMetricData":
        raise TimeoutError
    return proceed()


def lived(world: World) -> list[Device]:
    """A stack with a past: versions with an optimizer's state, a rollback, alerts, metrics that CloudWatch does not have yet, a
    revoked device, a token with uses left, and a round in which one update is accepted, another device still trains, and a
    third one has given its place up.
    """
    world.model(rounds=50, goal=2, quorum=2, over_selection=4.0, evaluators=1, min_gain=0.0, optimizer={"name": "adam"})
    token = world.token(uses=6)
    devices = [world.device(token, f"device-{number}") for number in range(4)]
    world.operator.revoke(world.device(token, "lost-device").client_id)
    for _ in range(2):
        train(world, devices)
    world.operator.rollback("toy", revision=revision(world))
    train(world, devices, step=0.3)
    config = world.operator.status("toy").config.model_copy(update={"hyperparameters": {"learning_rate": 0.1}})
    world.operator.configure("toy", config, revision=1, because="slower")
    world.operator.set_threshold("toy", "accepted_updates", minimum=100.0)
    world.calls.between = cloudwatch_is_down
    with pytest.raises(ExceptionGroup):
        world.monitor()
    world.calls.between = None
    world.tick()
    world.update(devices[0])
    world.deliver()
    assert devices[1].check_in().kind == "train"
    assignment = devices[2].check_in()
    assert assignment.kind == "train"
    devices[2].give_up(assignment.round, "train", FailureReason.DISK)
    return devices


def began(world: World) -> None:
    """A stack that has trained one version, and trains on."""
    world.model(rounds=50, goal=1, quorum=1, evaluators=1, optimizer={"name": "adagrad"})
    devices = world.devices(1)
    world.tick()
    world.update(devices[0])
    world.deliver()
    world.play(devices)
    world.monitor()


def everything(world: World, settings: Settings) -> tuple[dict[str, Any], set[str]]:
    """All rows and all object keys of a stack, under names that do not depend on it."""
    before, world.settings = world.settings, settings
    rows, objects = world.everything()
    world.settings = before
    tables = ("clients_table", "rounds_table", "versions_table", "monitoring_table")
    named = {getattr(settings, table): table for table in tables}
    listed = world.s3.list_objects_v2(Bucket=settings.bucket).get("Contents", [])
    assert {found["Key"] for found in listed} == objects
    return {f"{named[name.split('/')[0]]}/{name.split('/', 1)[1]}": row for name, row in rows.items()}, objects


def dump(folder: BackupFolder, table: TableName) -> list[Any]:
    return list(folder.rows(table, folder.manifest().tables[table]))


def killed_at(world: World, step: int, run: Callable[[], object]) -> bool:
    """Run, and die before the call of this number; False when there were not so many."""
    number = count()

    def deadly(_: str, proceed: Callable[[], Any]) -> Any:
        if next(number) == step:
            raise Killed
        return proceed()

    world.calls.between = deadly
    try:
        run()
    except Killed:
        return True
    finally:
        world.calls.between = None
    return False


def spoil_object(folder: BackupFolder) -> str:
    path = object_path(next(o.key for o in folder.manifest().objects if o.key.startswith("states/")))
    data = bytearray((folder.root / path).read_bytes())
    data[-1] ^= 1
    (folder.root / path).write_bytes(data)
    return f"changed: {path}"
