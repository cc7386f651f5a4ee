"""From the terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chalicelib.settings import Settings
from muster import Device
from muster.cli.errors import EXPECTED, explain
from muster.cli.session import Session as CliSession
from muster.operator.backup.cloud import OUTPUTS, Places, places_of
from muster.operator.backup.errors import (
    BackupError,
    NoStack,
)
from muster.operator.backup.folder import BackupFolder
from tests.fleet import World
from tests.operator.backup.stacks import everything, made, spoil_object
from tests.operator.terminal import Terminal


def names(settings: Settings) -> str:
    return (
        f"--clients-table {settings.clients_table} --rounds-table {settings.rounds_table} --bucket {settings.bucket} "
        f"--versions-table {settings.versions_table} --monitoring-table {settings.monitoring_table} --region us-east-1"
    )


def test_backup_verify_and_restore_from_the_terminal(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    muster, target, folder = Terminal(world), world.second_stack(), tmp_path / "backup"
    said = muster.text(f"backup {{}} {names(world.settings)} --connections 1", folder)
    assert "rows of versions" in said
    found = muster.json("backup {} --verify", folder)
    assert (found["verified"], found["fetched"], found["release"]) == (True, 0, "0.1.0")
    assert found["rows"]["clients"] == 5 + 1 + 1
    assert "whole" in muster.text("backup {} --verify", folder)
    restore_ = f"restore {{}} {names(target)} --connections 1"
    assert "nothing was changed" in muster.text(f"{restore_} --dry-run", folder)
    assert everything(world, target) == ({}, set())
    done = muster.json(restore_, folder)
    assert (done["abandoned"], done["went_on"], done["backup"]) == (["toy.4"], False, found["backup"])
    assert done["objects_written"] == found["objects"]
    complaint = muster.fails(restore_, 1, folder)
    assert "The target is not empty" in complaint
    assert "was restored here" in complaint


def test_errors_from_the_terminal_have_names_and_statuses(old: tuple[World, list[Device]], tmp_path: Path) -> None:
    world, _ = old
    muster = Terminal(world)
    assert "There is no backup" in muster.fails("backup {} --verify", 2, tmp_path)
    assert "neither --stack nor the names" in muster.fails("backup {} --bucket only", 2, tmp_path)
    complaint = muster.fails(f"backup {{}} {names(world.settings)}x".replace("us-east-1x", "us-east-1 --bucket x"), 2, tmp_path)
    assert "A table or the bucket is not there" in complaint
    folder = BackupFolder(tmp_path / "whole")
    made(world, folder.root)
    named = spoil_object(folder)
    complaint = muster.fails("backup {} --verify", 4, folder.root)
    assert "Files are not what was backed up" in complaint
    assert named in complaint


@pytest.mark.parametrize("kind", BackupError.__subclasses__())
def test_every_error_says_what_and_what_to_type_next(kind: type[BackupError]) -> None:
    out = StringIO()
    console = Console(file=out, width=160)
    status = explain(kind("for a reason"), CliSession(lambda: None), console)  # type: ignore[arg-type, return-value]
    assert status in (1, 2, 3, 4)
    assert [line[:5] for line in out.getvalue().splitlines()] == ["error", "why  ", "next "]
    assert issubclass(kind, EXPECTED)


# ---- where a stack is


class Outputs:
    """CloudFormation, as far as it is asked."""

    def __init__(self, *names: str) -> None:
        self._said = [{"OutputKey": name, "OutputValue": f"the-{name}"} for name in names]

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        return {"Stacks": [{"StackName": StackName, "Outputs": self._said}]}


def test_a_stack_says_in_its_outputs_where_everything_is() -> None:
    found = places_of(Outputs(*OUTPUTS.values(), "AlertTopicArn"), "muster")
    assert found == Places(
        clients="the-ClientsTableName",
        rounds="the-RoundsTableName",
        versions="the-VersionsTableName",
        monitoring="the-MonitoringTableName",
        bucket="the-TensorBucketName",
    )
    with pytest.raises(NoStack, match="has no output ClientsTableName, MonitoringTableName"):
        places_of(Outputs("TensorBucketName", "RoundsTableName", "VersionsTableName"), "muster")
