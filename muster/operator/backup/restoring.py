"""Fills an empty stack from a backup; goes on where it died.

    check all ──▶ target empty? ──▶ the mark ──▶ objects ──▶ rows, stage by stage, models last ──▶ the mark says finished

The target lives meanwhile: its tick looks every minute. It looks at the models that there are, so nothing moves until they are
written, and by then all that they stand on is there.

Rows go in chunks, and the mark, a row of the target, counts the chunks that are done. A restore that goes on skips those. The
one during which it died it writes only where nothing is, because a device may have rotated its key since; no chunk behind it
was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from muster.layout import TABLES, TableName
from muster.operator.backup import kinds
from muster.operator.backup.check import Contents, Told, check
from muster.operator.backup.cloud import Cloud
from muster.operator.backup.errors import NotEmpty, OtherRestore
from muster.operator.backup.folder import BackupFolder, BackupManifest, StoredObject, object_path
from muster.operator.backup.kinds import FLEET, RESTORE, STAGES, Item, Row
from muster.operator.backup.making import instant

CHUNK_ROWS = 1000

OPEN = ("collecting", "aggregating", "evaluating")
"""Phases of a round in which something can still happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The row that says which backup is being restored here, and how far that is."""

    backup: str
    taken_at: str
    begun_at: str
    chunks: int = 0
    """Chunks of rows that are written."""
    finished_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore came to."""

    manifest: BackupManifest
    went_on: bool
    """Whether it had been begun before."""
    rows: int
    """Rows that this run wrote."""
    objects: int
    """Objects that this run wrote."""
    abandoned: tuple[str, ...]
    """Rounds that were open."""


def restore(
    cloud: Cloud,
    folder: BackupFolder,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    told: Told = lambda doing: None,
    *,
    dry_run: bool = False,
    chunk_rows: int = CHUNK_ROWS,
) -> Restored:
    """Restore a backup into an empty stack, or go on with that. With `dry_run`, only look whether it could be done.

    Raises:
        NoBackup, NotAsBackedUp, DoesNotHold, UnknownRow: the backup is not whole. Nothing was written.
        NotEmpty: there is something in the target. Nothing was written.
        OtherRestore: another backup is being restored there. Nothing was written.
    """
    manifest = check(folder, told)
    contents = Contents(folder, manifest.tables)
    found = _mark(cloud, manifest)
    if found is None:
        _check_empty(cloud)
    abandoned = tuple(f"{row.model}.{int(row.parts['number'])}" for row in contents.rows("rounds") if _is_open(row))
    if dry_run:
        return Restored(manifest=manifest, went_on=found is not None, rows=0, objects=0, abandoned=abandoned)
    mark = found or _begin(cloud, manifest, now())
    objects = _restore_objects(cloud, folder, manifest.objects, told)
    rows = _restore_rows(cloud, contents, mark, chunk_rows, manifest, told)
    _note(cloud, mark, "finished_at", {"S": instant(now())})
    return Restored(manifest=manifest, went_on=found is not None, rows=rows, objects=objects, abandoned=abandoned)


# ---- the mark


def _mark(cloud: Cloud, manifest: BackupManifest) -> Mark | None:
    """The mark of this backup in the target, or None: the target has none.

    Raises:
        NotEmpty: this backup, or another, was restored here before.
        OtherRestore: another backup is being restored here.
    """
    item = cloud.get(RESTORE.table, kinds.key(RESTORE))
    if item is None:
        return None
    plain = {name: kinds.plain(value) for name, value in item.items() if name not in ("pk", "sk")}
    mark = Mark(**plain)
    if mark.finished_at:
        raise NotEmpty(f"the backup of {mark.taken_at} was restored here at {mark.finished_at}")
    if mark.backup != manifest.id:
        raise OtherRestore(
            f"expected the backup of {mark.taken_at} ({mark.backup[:12]}), which was begun here, got {manifest.id[:12]}"
        )
    return mark


def _begin(cloud: Cloud, manifest: BackupManifest, now: datetime) -> Mark:
    mark = Mark(backup=manifest.id, taken_at=manifest.taken_at, begun_at=instant(now))
    item = {
        **kinds.key(RESTORE),
        "backup": {"S": mark.backup},
        "taken_at": {"S": mark.taken_at},
        "begun_at": {"S": mark.begun_at},
        "chunks": {"N": "0"},
    }
    if not cloud.put_new(RESTORE.table, item):
        return _mark(cloud, manifest) or mark
    return mark


def _note(cloud: Cloud, mark: Mark, name: str, value: Item) -> None:
    """Write how far it is.

    Raises:
        OtherRestore: the mark is gone, or is another backup's.
    """
    if not cloud.update(RESTORE.table, kinds.key(RESTORE), {name: value}, {"backup": {"S": mark.backup}}):
        raise OtherRestore(f"the mark of the backup of {mark.taken_at} is gone: somebody else writes into these tables")


def _check_empty(cloud: Cloud) -> None:
    """See that there is nothing in the target, but for tallies: the monitor of an empty stack counts, too.

    Raises:
        NotEmpty: there is.
    """
    for table in TABLES:
        if not cloud.is_empty(table, lambda item, table=table: _is_tally(table, item)):  # type: ignore[misc]
            raise NotEmpty(f"table {cloud.places.table(table)} has rows; expected one that is empty")
    if (key := cloud.has_objects()) is not None:
        raise NotEmpty(f"bucket {cloud.places.bucket} has {key}; expected none of Muster's objects")


def _is_tally(table: TableName, item: Item) -> bool:
    row = kinds.recognise(table, item)
    return row is not None and row.kind is kinds.TALLY


# ---- objects and rows


def _restore_objects(cloud: Cloud, folder: BackupFolder, objects: list[StoredObject], told: Told) -> int:
    there = cloud.keys()
    missing = [stored for stored in objects if stored.key not in there]

    def write(stored: StoredObject) -> None:
        with folder.open(object_path(stored.key)) as file:
            cloud.upload(stored.key, kinds.digest_in(stored.key) or "", file, stored.bytes)

    for count, _ in enumerate(cloud.spread(write, missing), 1):
        told(f"writing objects: {count} of {len(missing)}")
    return len(missing)


def _restore_rows(cloud: Cloud, contents: Contents, mark: Mark, chunk_rows: int, manifest: BackupManifest, told: Told) -> int:
    rows, written = _rows(contents, manifest.taken_at), 0
    total = sum(file.rows for file in manifest.tables.values())
    number = 0
    while chunk := list(islice(rows, chunk_rows)):
        if number == mark.chunks:
            written += sum(cloud.spread(lambda row: cloud.put_new(*row), chunk))
        elif number > mark.chunks:
            cloud.put_all(chunk)
            written += len(chunk)
        number += 1
        if number > mark.chunks:
            _note(cloud, mark, "chunks", {"N": str(number)})
            told(f"writing rows: {written} of {total}")
    return written


def _rows(contents: Contents, taken_at: str) -> Iterator[tuple[TableName, Item]]:
    """All rows as they are restored, in the order of the stages."""
    enrolled = 0
    for stage in STAGES:
        tables: list[TableName] = [t for t in TABLES if any(k.table == t and k.stage == stage for k in kinds.KINDS)]
        for row in contents.rows(*tables):
            if row.kind.stage == stage:
                enrolled += row.kind is kinds.CLIENT and row.value("state") == "active"
                yield row.kind.table, _as_restored(row, taken_at)
        if stage == kinds.CLIENT.stage:
            yield FLEET.table, {**kinds.key(FLEET), "enrolled": {"N": str(enrolled)}}


def _as_restored(row: Row, taken_at: str) -> Item:
    """A row as it is restored. A version that expired in the old stack has all of its grace period before it: whoever restores
    an old backup wants what is in it.
    """
    if row.kind is kinds.VERSION:
        return {name: value for name, value in row.item.items() if name != "expires_at"}
    return abandoned(row, taken_at) if _is_open(row) else row.item


def _is_open(row: Row) -> bool:
    return row.kind is kinds.ROUND and row.value("phase") in OPEN


def abandoned(row: Row, taken_at: str) -> Item:
    """An open round as it is restored: abandoned, as an operator would abandon it, because its updates are not in a backup.
    The next look at its model gives its receipts their last word. What is served stays as it is.
    """
    ended = max(taken_at, row.value("opened_at"))  # clocks differ; a round does not end before it began
    return {
        **row.item,
        "phase": {"S": "abandoned"},
        "fence": {"N": str(row.value("fence") + 1)},
        "reason": {"S": f"restored: a backup of {taken_at} was restored, and updates are not in backups"},
        "called_off": {"BOOL": True},
        "closed_at": row.item.get("closed_at", {"S": ended}),
        "finished_at": {"S": ended},
    }
