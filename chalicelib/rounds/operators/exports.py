"""The operators' use case of a round's files: read what its version was made of, and compute it again.

A page signs what the frozen manifest names and nothing else, so that the route opens no rejected, late or foreign update.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal

from chalicelib.errors import Refusal
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.versions import version_deleted
from chalicelib.rounds.manifests import read_manifest
from chalicelib.rounds.operators.finding import RoundFinder
from chalicelib.rounds.round import Round
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.presign import Presigner
from chalicelib.storage.rows import Unreadable
from muster.aggregation.manifest import Entry, Manifest
from muster.wire import admin
from muster.wire.problems import Problem

PAGE = 200
"""Updates on a page. A URL that temporary credentials sign takes some 2 kB, and no reply may be longer than 1 MiB."""

PAGE_BYTES = 1 << 30
"""Bytes of the updates on a page, or one update: they can be fetched at 1.2 MB/s while their URLs live (15 minutes)."""

Kind = Literal["manifest", "base", "state", "update"]


class RoundExports:
    """The files of rounds that have published.

    A page costs four GetItem (the model, the round, its version, its base) and, where this function instance did not read it
    for the page before, one GET of the manifest, about 375 bytes an update: 37 MB, 0.3 s of a CPU and 200 MB of memory at
    100,000 updates. The last one is remembered, because a manifest never changes and an export asks for page after page.
    """

    def __init__(self, *, finder: RoundFinder, registry: RegistryStore, blobs: Blobs, presigner: Presigner) -> None:
        self._finder = finder
        self._registry = registry
        self._blobs = blobs
        self._presigner = presigner
        self._last: tuple[str, Manifest] | None = None

    def page(self, model: str, number: int, query: admin.RoundFilesPage) -> admin.RoundFileList:
        """A page: manifest, base and state come first, then the updates by client.

        Raises:
            Refusal: `unknown-model`, `unknown-round`, `nothing-published`, `updates-deleted`, `version-deleted` (its own, or
                its base).
        """
        rnd = self._finder.find(model, number)
        if isinstance(rnd, Unreadable):
            raise Refusal(
                Problem.NOTHING_PUBLISHED,
                f"round {number} of {model} cannot be read, so nobody knows what it published",
                expected="a round that has published its version",
                got="a round whose row cannot be read",
            )
        if rnd.candidate is None:
            raise Refusal(
                Problem.NOTHING_PUBLISHED,
                f"round {rnd.id} is {rnd.phase}: {rnd.reason or 'its version is yet to be made'}",
                expected="a round that has published its version",
                got=f"a round that is {rnd.phase}",
            )
        if rnd.is_terminal and not rnd.config.keep_updates:
            raise Refusal(
                Problem.UPDATES_DELETED,
                f"the updates of round {rnd.id} were deleted when it ended",
                expected="a round whose configuration says keep_updates",
                got="a round that has ended, and kept none",
            )
        for number in (rnd.candidate.version, rnd.base.version):
            version = self._registry.known(model, number)
            if version.deleted_at is not None:
                raise version_deleted(version, "a round whose version and base are kept")
        manifest = self._manifest(rnd)
        first = bisect_right(manifest.entries, query.after, key=_client) if query.after else 0
        entries = _page(manifest.entries[first : first + PAGE])
        more = first + len(entries) < len(manifest.entries)
        return admin.RoundFileList(
            round=str(rnd.id),
            version=rnd.candidate.version,
            files=[*(self._shared(rnd, manifest) if query.after is None else ()), *map(self._update, entries)],
            after=entries[-1].client_id if more else None,
        )

    def _manifest(self, rnd: Round) -> Manifest:
        sha256 = rnd.frozen.manifest_sha256
        if self._last is None or self._last[0] != sha256:
            self._last = None  # there is room for one large manifest, not for two
            self._last = sha256, read_manifest(self._blobs, rnd)
        return self._last[1]

    def _shared(self, rnd: Round, manifest: Manifest) -> Iterator[admin.RoundFile]:
        """What all updates share."""
        sha256 = rnd.frozen.manifest_sha256
        yield self._file("manifest", None, sha256, None, keys.MANIFEST.key(round=rnd.id, sha256=sha256))
        base = manifest.base
        yield self._file("base", None, base.sha256, base.nbytes, keys.CHECKPOINT.key(sha256=base.sha256))
        for file in manifest.state.files if manifest.state else ():
            yield self._file("state", file.letter, file.sha256, file.nbytes, keys.STATE.key(sha256=file.sha256))

    def _update(self, entry: Entry) -> admin.RoundFile:
        return self._file("update", entry.client_id, entry.sha256, entry.nbytes, entry.key)

    def _file(self, kind: Kind, name: str | None, sha256: str, nbytes: int | None, key: str) -> admin.RoundFile:
        return admin.RoundFile(kind=kind, name=name, sha256=sha256, bytes=nbytes, url=self._presigner.get(key))


def _client(entry: Entry) -> str:
    return entry.client_id


def _page(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The first of some entries, together no longer than a page may be, but at least one."""
    total = 0
    for count, entry in enumerate(entries):
        total += entry.nbytes
        if count and total > PAGE_BYTES:
            return entries[:count]
    return entries
