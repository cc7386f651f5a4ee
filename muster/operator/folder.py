"""An exported round: a folder that holds all that a version was made of, and what was published of it. It stands on its own.

    round.json                              which round this is, and the digest of its version's document
    version.json                            the document, as it was published: what the result must be
    manifest.json                           the frozen manifest: which updates, by which rules
    base.safetensors                        the checkpoint that the round started from
    state/<letter>.safetensors              the server optimizer's state at that time, if it had one
    updates/<client>.<digits>.safetensors   each device's update; the digits, the first of its SHA-256, keep Pump-1 and pump-1
                                            apart where a file system does not

The digests hang together: round.json ──▶ version.json ──▶ manifest.json ──▶ base, state, updates. So whoever knows the
document's digest from elsewhere (`muster version show`) knows every byte in here. Updates are private data: only the owner of
the files can read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from muster.aggregation.manifest import MANIFEST_LIMIT_BYTES, Entry, Manifest
from muster.http.errors import Untrusted
from muster.operator.private import FilesDiffer, PrivateFolder
from muster.wire.admin import Clipping
from muster.wire.messages import Reply, RoundId, Sha256, VersionNumber
from muster.wire.refs import OptimizerState, digest

DOCUMENT_LIMIT_BYTES = 1 << 20
"""Neither round.json nor version.json is longer."""

ROUND, DOCUMENT, MANIFEST, BASE, UPDATES = "round.json", "version.json", "manifest.json", "base.safetensors", "updates/"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class NotAsExported(FilesDiffer):
    """Files of an exported round are gone, or are not what they were."""


class About(BaseModel):
    """What round.json says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    round: RoundId
    version: VersionNumber
    document_sha256: Sha256


class PublishedFile(Reply):
    """The checkpoint, in a version's document."""

    sha256: Sha256
    bytes: int


class PublishedConfig(Reply):
    """What a version's document says of the configuration that is not in the manifest."""

    clipping: Clipping | None = None


class PublishedVersion(Reply):
    """What a version's document says, as far as it is computed here."""

    model: str
    version: int
    round: int | None = None
    manifest_sha256: Sha256 | None = None
    checkpoint: PublishedFile
    optimizer: OptimizerState | None = None
    clip_norm: float | None = None
    config: PublishedConfig


@dataclass(frozen=True, slots=True)
class Content:
    """A file that the folder must hold: where, and what its bytes are."""

    path: str
    sha256: str
    nbytes: int


class RoundFolder(PrivateFolder):
    """An exported round. One export at a time writes into it."""

    # ---- what must be in it

    def about(self) -> About:
        """Which round this is.

        Raises:
            FileNotFoundError: the folder is no exported round.
            ValidationError: it was exported by another release, in a format that this one does not know.
        """
        path = self.root / ROUND
        if not path.exists():
            raise FileNotFoundError(f"{self.root} holds no exported round: there is no {ROUND}")
        with path.open("rb") as file:
            return About.model_validate_json(file.read(DOCUMENT_LIMIT_BYTES))

    def published(self, about: About) -> PublishedVersion:
        """What was published.

        Raises:
            NotAsExported: the document is not the one that round.json names.
        """
        return PublishedVersion.model_validate_json(self._read(DOCUMENT, about.document_sha256, DOCUMENT_LIMIT_BYTES))

    def manifest(self, published: PublishedVersion) -> Manifest:
        """What the version was made of.

        Raises:
            NotAsExported: the manifest is not the one that the document names.
            Untrusted: it is, and is none.
        """
        if published.manifest_sha256 is None:
            raise Untrusted(f"version {published.version} of {published.model} names no manifest")
        data = self._read(MANIFEST, published.manifest_sha256, MANIFEST_LIMIT_BYTES)
        try:
            return Manifest.from_bytes(data)
        except ValidationError as error:
            raise Untrusted(f"{MANIFEST} is of a release that this one does not understand") from error

    def check(self, manifest: Manifest) -> None:
        """Read every file that the manifest names, and hold it against its digest.

        Raises:
            NotAsExported: naming those that are missing, and those that have changed.
        """
        missing, changed = list[str](), list[str]()
        for content in contents(manifest):
            if not (self.root / content.path).exists():
                missing.append(content.path)
            elif not self.holds(content):
                changed.append(content.path)
        if missing or changed:
            raise NotAsExported(self.root, missing, changed)

    # ---- reading it

    def holds(self, content: Content) -> bool:
        """Whether a file is there, with the right bytes: all of it is read."""
        path = self.root / content.path
        return path.is_file() and path.stat().st_size == content.nbytes and self.digest(content.path) == content.sha256

    def _read(self, path: str, sha256: str, limit: int) -> bytes:
        if not (self.root / path).exists():
            raise NotAsExported(self.root, [path], [])
        with self.open(path) as file:
            data = file.read(limit)
        if digest(data) != sha256:
            raise NotAsExported(self.root, [], [path])
        return data


def contents(manifest: Manifest) -> Iterator[Content]:
    """The files that a manifest names, in its order.

    Raises:
        Untrusted: a name in it could lead out of the folder.
    """
    yield Content(BASE, manifest.base.sha256, manifest.base.nbytes)
    for file in manifest.state.files if manifest.state else ():
        yield Content(state_path(file.letter), file.sha256, file.nbytes)
    yield from map(update_content, manifest.entries)


def update_content(entry: Entry) -> Content:
    """The file of an update.

    Raises:
        Untrusted: the client's name or the digest cannot be one.
    """
    if not (_NAME.fullmatch(entry.client_id) and _DIGEST.fullmatch(entry.sha256)):
        raise Untrusted(
            f"the manifest names a client that cannot be one: {entry.client_id[:80]!r}, sha256 {entry.sha256[:80]!r}"
        )
    return Content(f"{UPDATES}{entry.client_id}.{entry.sha256[:8]}.safetensors", entry.sha256, entry.nbytes)


def state_path(letter: str) -> str:
    """Where the file of an optimizer's state lies.

    Raises:
        Untrusted: the letter is none.
    """
    if not _NAME.fullmatch(letter):
        raise Untrusted(f"the manifest names a state that cannot be one: {letter[:80]!r}")
    return f"state/{letter}.safetensors"
