"""`muster backup` and `muster restore`: the commands that need AWS credentials and no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from botocore.session import Session as AwsSession

from muster.cli.session import DryRun, Json, Session, of
from muster.operator.backup.check import check
from muster.operator.backup.cloud import Cloud, Places, connected, places_of
from muster.operator.backup.errors import NoStack
from muster.operator.backup.folder import BackupFolder, BackupManifest
from muster.operator.backup.making import back_up
from muster.operator.backup.restoring import restore as restored

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.", show_default=False)]
Stack = Annotated[
    str | None,
    typer.Option(help="The CloudFormation stack, whose outputs name the tables and the bucket.", show_default=False),
]
Profile = Annotated[str | None, typer.Option(help="The AWS profile.", show_default=False)]
Region = Annotated[str | None, typer.Option(help="The stack's region.", show_default=False)]
Connections = Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")]


def _name(what: str, variable: str) -> object:
    return typer.Option(envvar=variable, help=f"The name of {what}, where there is no stack.", show_default=False)


Clients = Annotated[str | None, _name("the clients table", "MUSTER_CLIENTS_TABLE")]
Rounds = Annotated[str | None, _name("the rounds table", "MUSTER_ROUNDS_TABLE")]
Versions = Annotated[str | None, _name("the versions table", "MUSTER_VERSIONS_TABLE")]
Monitoring = Annotated[str | None, _name("the monitoring table", "MUSTER_MONITORING_TABLE")]
Bucket = Annotated[str | None, _name("the bucket", "MUSTER_BUCKET")]


def backup(
    ctx: typer.Context,
    folder: Folder,
    stack: Stack = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only check the backup that is there; no cloud is asked.")] = False,
    profile: Profile = None,
    region: Region = None,
    clients_table: Clients = None,
    rounds_table: Rounds = None,
    versions_table: Versions = None,
    monitoring_table: Monitoring = None,
    bucket: Bucket = None,
    connections: Connections = 8,
    as_json: Json = False,
) -> None:
    """Copy everything that a stack stores into a folder, while the stack goes on. Updates of devices are not copied.

    Given again, it copies only the objects that are new. An interrupted one goes on, and until it is finished the backup before
    it counts.
    """
    session = of(ctx)
    target = BackupFolder(folder)
    with session.errors.status("reading") as status:
        if verify:
            manifest, fetched = check(target, status.update), 0
        else:
            names = (clients_table, rounds_table, versions_table, monitoring_table, bucket)
            cloud = _cloud(session, stack, names, profile, region, connections)
            made = back_up(cloud, target, stack, told=status.update)
            manifest, fetched = made.manifest, made.fetched
    if as_json:
        session.json({**_summary(manifest), "folder": str(folder), "fetched": fetched, "verified": True})
        return
    if verify:
        session.say(f"whole: {_sentence(manifest)}", "green")
        return
    session.say(f"backed up to {folder}: {_sentence(manifest)}, of which {fetched} were new")
    session.say(f"next  muster restore {folder} --stack, with the name of an empty one")


def restore(
    ctx: typer.Context,
    folder: Folder,
    stack: Stack = None,
    profile: Profile = None,
    region: Region = None,
    clients_table: Clients = None,
    rounds_table: Rounds = None,
    versions_table: Versions = None,
    monitoring_table: Monitoring = None,
    bucket: Bucket = None,
    connections: Connections = 8,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Fill an empty stack from a backup. Rounds that were open are restored as abandoned.

    The whole backup is checked first. A restore that died goes on when the command is given again.
    """
    session = of(ctx)
    names = (clients_table, rounds_table, versions_table, monitoring_table, bucket)
    cloud = _cloud(session, stack, names, profile, region, connections)
    with session.errors.status("reading") as status:
        done = restored(cloud, BackupFolder(folder), told=status.update, dry_run=dry_run)
    details = {
        **_summary(done.manifest), "abandoned": list(done.abandoned), "went_on": done.went_on, "target": cloud.places.as_dict(),
    }  # fmt: skip
    where = stack or cloud.places.versions
    if dry_run:
        session.would(f"{'go on to ' if done.went_on else ''}restore into {where}", as_json, details)
        return
    if as_json:
        session.json({**details, "rows_written": done.rows, "objects_written": done.objects})
        return
    session.say(f"restored into {where}: {_sentence(done.manifest)}")
    if done.abandoned:
        session.say(f"abandoned, because updates are not in backups: {', '.join(done.abandoned)}")
    session.say("next  muster status")


def _cloud(
    session: Session,
    stack: str | None,
    names: tuple[str | None, ...],
    profile: str | None,
    region: str | None,
    connections: int,
) -> Cloud:
    """The tables and the bucket of a stack, or, without one, those of the given names.

    Raises:
        NoStack: there is no such stack, or a name is missing.
    """
    aws, region = AwsSession(profile=profile or session.profile), region or session.region
    if stack is not None:
        places = places_of(connected(aws, "cloudformation", region, 1), stack)
    else:
        given = [name for name in names if name]
        if len(given) < len(names):
            raise NoStack("neither --stack nor the names of all tables and of the bucket are given")
        clients, rounds, versions, monitoring, bucket = given
        places = Places(clients=clients, rounds=rounds, versions=versions, monitoring=monitoring, bucket=bucket)
    return Cloud(
        dynamodb=connected(aws, "dynamodb", region, connections),
        s3=connected(aws, "s3", region, connections),
        places=places,
        connections=connections,
    )


def _summary(manifest: BackupManifest) -> dict[str, object]:
    return {
        "backup": manifest.id,
        "stack": manifest.stack,
        "taken_at": manifest.taken_at,
        "release": manifest.release,
        "rows": {table: file.rows for table, file in manifest.tables.items()},
        "objects": len(manifest.objects),
        "bytes": sum(stored.bytes for stored in manifest.objects) + sum(file.bytes for file in manifest.tables.values()),
    }


def _sentence(manifest: BackupManifest) -> str:
    rows = ", ".join(f"{file.rows} rows of {table}" for table, file in sorted(manifest.tables.items()))
    return f"{manifest.id[:12]} of {manifest.taken_at}; {rows}; {len(manifest.objects)} objects"
