"""Makes a backup while the stack goes on.

    the cut ──▶ rounds, versions, monitoring ──▶ clients ──▶ tokens ──▶ named objects ──▶ the check ──▶ backup.json

Clients come after rounds, because receipts name clients; tokens after clients, because a client that is there has claimed its
token, and a token must not have the use left that the client took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from muster import __version__
from muster.layout import TableName
from muster.operator.backup import kinds
from muster.operator.backup.check import Contents, Told, check_names, named_objects
from muster.operator.backup.cloud import Cloud
from muster.operator.backup.cut import Cut, belongs, ends_of, take_cut
from muster.operator.backup.errors import UnknownRow
from muster.operator.backup.folder import BackupFolder, BackupManifest, StoredObject, object_path
from muster.operator.backup.kinds import NOT_COPIED, Item

ORDER: tuple[TableName, ...] = ("rounds", "versions", "monitoring", "clients")


@dataclass(frozen=True, slots=True)
class Made:
    """What a backup came to."""

    manifest: BackupManifest
    fetched: int
    """Objects that were not there already."""


def instant(at: datetime) -> str:
    """A time as Muster's rows have it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def back_up(
    cloud: Cloud,
    folder: BackupFolder,
    stack: str | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    told: Told = lambda doing: None,
) -> Made:
    """Copy everything that a stack stores into a folder. Objects that are there already, whole, are not fetched again.

    Raises:
        OtherStack: the folder holds something else.
        UnknownRow: a row is of a kind that this release does not know.
        DoesNotHold: something is named in the stack that is not there, or is damaged.
        Unsteady: a model never stood still.
    """
    source = cloud.places.as_dict()
    folder.claim(source)
    taken_at = instant(now())
    cut = take_cut(cloud)
    tables = {}
    for table in ORDER:
        told(f"reading {table}")
        tables[table] = folder.write_rows(table, _rows(cloud, cut, table))
    contents = Contents(folder, tables)
    keys = named_objects(contents)
    fetched, objects = 0, list[StoredObject]()
    for stored, is_new in cloud.spread(lambda key: _fetch(cloud, folder, key), keys):
        objects.append(stored)
        fetched += is_new
        told(f"copying objects: {len(objects)} of {len(keys)}")
    check_names(contents, set(keys))
    manifest = BackupManifest(
        release=__version__, stack=stack, source=source, taken_at=taken_at, tables=tables, objects=objects
    )
    folder.finish(manifest)
    return Made(manifest, fetched)


def _rows(cloud: Cloud, cut: Cut, table: TableName) -> Iterator[Item]:
    """The rows of a table that were there at the cut, as they were then."""
    yield from ends_of(cut, table)
    for item in cloud.scan(table):
        row = kinds.recognise(table, item)
        if row is None:
            raise UnknownRow(
                f"table {cloud.places.table(table)}: {item['pk']['S']} {item['sk']['S']} is of no kind that release "
                f"{__version__} knows"
            )
        if row.kind.stage != NOT_COPIED and row.kind not in (kinds.TOKEN, kinds.TOKEN_USES) and belongs(row, cut):
            yield item
    if table == kinds.TOKEN.table:
        for token in cloud.partition(table, kinds.TOKEN.pk):
            yield from _with_uses(cloud, token)


def _with_uses(cloud: Cloud, token: Item) -> Iterator[Item]:
    """A token and what is taken of it, read when all clients were: whoever is in the backup has used its token there. The token
    itself comes last, so that if it is revoked meanwhile its row says so.
    """
    name, shares = kinds.TOKEN.name_in(token["sk"]["S"]), kinds.plain(token.get("shares", {"N": "0"}))
    for number in range(shares):
        yield from cloud.partition(kinds.TOKEN.table, kinds.TOKEN_USES.partition(token=name, share=f"{number:02d}"))
    yield cloud.get(kinds.TOKEN.table, kinds.key(kinds.TOKEN, token=name)) or token


def _fetch(cloud: Cloud, folder: BackupFolder, key: str) -> tuple[StoredObject, bool]:
    """An object as it lies in the folder, and whether it was fetched."""
    path, sha256 = object_path(key), kinds.digest_in(key) or ""
    is_new = folder.digest(path) != sha256
    if is_new:
        folder.write(path, lambda file: cloud.download(key, sha256, file))
    return StoredObject(key=key, bytes=(folder.root / path).stat().st_size), is_new
