"""A backup on the disk.

    backup.json                             what belongs to it; written last: until then, the one before counts
    rows/<table>.<digits>.jsonl.gz          a table, one row a line, as DynamoDB's JSON; the digits are the first of its SHA-256
    objects/<key>                           an object under the key that it has in the bucket, which names its content

backup.json names the digest of every file of rows, and every object's key names its own: who knows the digest of backup.json
knows every byte of the backup. A later backup of the same stack into the same folder adds the objects that are new, and
replaces the rows. It holds hashes of keys and a model's whole history: only the owner of the files can read them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from muster.layout import TABLES, TableName
from muster.operator.backup.errors import NoBackup, OtherStack
from muster.operator.backup.kinds import Item, digest_in
from muster.operator.private import PrivateFolder
from muster.wire.messages import Sha256
from muster.wire.refs import canonical_json, digest

MANIFEST, ROWS, OBJECTS = "backup.json", "rows", "objects"

MANIFEST_LIMIT_BYTES = 1 << 30
"""A million objects are about 150 MB."""

LEVEL = 6
"""Of compression; a table becomes about a sixth of its length."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowsFile(_Part):
    """A table's rows."""

    rows: int
    sha256: Sha256
    bytes: int


class StoredObject(_Part):
    """An object of the bucket."""

    key: str
    bytes: int


class BackupManifest(_Part):
    """What backup.json says."""

    format: Literal[1] = 1
    release: str
    stack: str | None
    source: dict[str, str]
    """The names of the tables and of the bucket."""
    taken_at: str
    """When reading began, in UTC: what was written before is in it."""
    tables: dict[TableName, RowsFile]
    objects: list[StoredObject]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_json(self.model_dump(mode="json")) + b"\n"

    @property
    def id(self) -> str:
        """The digest by which the whole backup is known."""
        return digest(self.to_bytes())


class BackupFolder(PrivateFolder):
    """A folder with a backup, or for one. One backup at a time writes into it."""

    def claim(self, source: dict[str, str]) -> None:
        """Make the folder, or find it as a backup of the same stack left it, finished or not.

        Raises:
            OtherStack: it holds something else.
        """
        self.make()
        if (self.root / MANIFEST).exists():
            if (there := self.manifest().source) != source:
                raise OtherStack(f"{self.root} holds a backup of {_named(there)}, not of {_named(source)}")
        elif foreign := sorted(path.name for path in self.root.iterdir() if path.name not in (ROWS, OBJECTS)):
            raise OtherStack(f"{self.root} is not empty, and holds no backup: {foreign[0]}")

    def manifest(self) -> BackupManifest:
        """What belongs to the backup.

        Raises:
            NoBackup: there is none that was finished, or it is of another release's format.
        """
        path = self.root / MANIFEST
        if not path.is_file():
            raise NoBackup(f"{self.root} holds no finished backup: there is no {MANIFEST}")
        with path.open("rb") as file:
            data = file.read(MANIFEST_LIMIT_BYTES)
        try:
            manifest = BackupManifest.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise NoBackup(f"{path} is not what this release writes: {first['loc']}: {first['msg']}") from error
        if set(manifest.tables) != set(TABLES) or not all(digest_in(stored.key) for stored in manifest.objects):
            raise NoBackup(f"{path} is not what this release writes: it names other tables, or objects that cannot be some")
        return manifest

    def finish(self, manifest: BackupManifest) -> None:
        """Make this the backup that counts, and drop the rows of the one before."""
        self.write(MANIFEST, lambda file: file.write(manifest.to_bytes()))
        named = {rows_path(table, rows.sha256) for table, rows in manifest.tables.items()}
        for path in (self.root / ROWS).iterdir():
            if f"{ROWS}/{path.name}" not in named:
                path.unlink()

    # ---- rows

    def write_rows(self, table: TableName, items: Iterable[Item]) -> RowsFile:
        """Write a table."""
        count = 0

        def fill(file: IO[bytes]) -> None:
            nonlocal count
            with gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=file, mtime=0) as packed:
                for item in items:
                    packed.write(canonical_json(item) + b"\n")
                    count += 1

        unnamed = f"{ROWS}/{table}.jsonl.gz"
        self.write(unnamed, fill)
        sha256 = self.digest(unnamed) or ""
        path = (self.root / unnamed).replace(self.root / rows_path(table, sha256))
        return RowsFile(rows=count, sha256=sha256, bytes=path.stat().st_size)

    def rows(self, table: TableName, file: RowsFile) -> Iterator[Item]:
        """The rows of a table, in the order in which they were written."""
        with gzip.open(self.root / rows_path(table, file.sha256), "rb") as packed:
            for line in packed:
                yield json.loads(line)


def rows_path(table: TableName, sha256: str) -> str:
    """Where the rows of a table lie."""
    return f"{ROWS}/{table}.{sha256[:16]}.jsonl.gz"


def object_path(key: str) -> str:
    """Where an object lies."""
    return f"{OBJECTS}/{key}"


def _named(source: dict[str, str]) -> str:
    return f"{source.get('versions')} and {source.get('bucket')}"
