"""Whether a backup is what it was, and whether it holds together. It needs no cloud.

First every file is read and held against its digest; then every row is read twice: once for what is named, once for what is
there. Memory grows with the rows that are named (of a client in a round, its name), never with a table or a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from muster.layout import TABLES, TableName
from muster.operator.backup import kinds
from muster.operator.backup.errors import DoesNotHold, NotAsBackedUp, UnknownRow
from muster.operator.backup.folder import BackupFolder, BackupManifest, RowsFile, object_path, rows_path
from muster.operator.backup.kinds import Row

SHOWN = 3
"""Dangling names that an error tells."""

Told = Callable[[str], None]
"""Hears what is being done."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The rows of a backup on the disk."""

    folder: BackupFolder
    tables: dict[TableName, RowsFile]

    def rows(self, *tables: TableName) -> Iterator[Row]:
        """Rows of some tables, or of all.

        Raises:
            UnknownRow: of a kind that this release does not know.
        """
        for table in tables or TABLES:
            for item in self.folder.rows(table, self.tables[table]):
                row = kinds.recognise(table, item)
                if row is None:
                    raise UnknownRow(f"table {table}: {item.get('pk')} {item.get('sk')} is of no kind that this release knows")
                yield row


def check(folder: BackupFolder, told: Told = lambda doing: None) -> BackupManifest:
    """Read all of a backup, and return what belongs to it.

    Raises:
        NoBackup: there is none.
        NotAsBackedUp: naming the files that are missing, and those that have changed.
        DoesNotHold: something is named that is not there.
        UnknownRow: of a kind that this release does not know.
    """
    manifest = folder.manifest()
    told("reading every file")
    _check_files(folder, manifest)
    told("following every name")
    contents = Contents(folder, manifest.tables)
    check_names(contents, {stored.key for stored in manifest.objects})
    return manifest


def named_objects(contents: Contents) -> list[str]:
    """The keys of all objects that rows name, sorted."""
    return sorted({key for row in contents.rows("versions", "rounds") for key in kinds.objects(row)})


def check_names(contents: Contents, stored: set[str]) -> None:
    """Follow every name from a row to a row, or to one of the stored objects.

    Raises:
        DoesNotHold: something is named that is not there.
    """
    named = dict[str, str]()
    for row in contents.rows():
        for name in kinds.pointers(row):
            named.setdefault(name, str(row))
        for key in kinds.objects(row):
            if key not in stored:
                named.setdefault(f"object {key}", str(row))
    for row in contents.rows():
        for identity in kinds.identities(row):
            named.pop(identity, None)
    if named:
        told = "; ".join(f"{row} names {name}" for name, row in list(named.items())[:SHOWN])
        more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        raise DoesNotHold(f"not there: {told}{more}")


def _check_files(folder: BackupFolder, manifest: BackupManifest) -> None:
    wanted = {rows_path(table, file.sha256): file.sha256 for table, file in manifest.tables.items()}
    wanted |= {object_path(stored.key): kinds.digest_in(stored.key) or "" for stored in manifest.objects}
    missing, changed = list[str](), list[str]()
    for path, sha256 in wanted.items():
        found = folder.digest(path)
        if found is None:
            missing.append(path)
        elif found != sha256:
            changed.append(path)
    if missing or changed:
        raise NotAsBackedUp(folder.root, missing, changed)
