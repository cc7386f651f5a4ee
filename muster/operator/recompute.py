"""Computes a published version again from an exported round, and holds it against what was published. No network is needed.

The workers and this run the same lines (`muster.aggregation`), cut differently: the result does not depend on the cut. Updates
are read from the disk by ranges; what is held in memory is some gigabyte, and eight bytes for each number of the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from muster.aggregation.assembly import MODEL, assemble
from muster.aggregation.claims import claim_cap
from muster.aggregation.clipping import next_norm
from muster.aggregation.exact import SumOutOfRange
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.outliers import norm_bound
from muster.aggregation.plan import NO_LIMITS, Limits
from muster.aggregation.registry import UnknownRule, Unsuitable, WrongNumberOfUpdates
from muster.aggregation.replay import gradient
from muster.operator.folder import BASE, About, NotAsExported, PublishedVersion, RoundFolder, state_path, update_content
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit, parse_header, update_schema

LIMITS = Limits(memory_bytes=1 << 30, read_bytes=NO_LIMITS.read_bytes, reads=NO_LIMITS.reads)


class CannotRecompute(Exception):
    """This installation does not make a version of what is there: it lacks a rule, or its rules are others."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that a round publishes; digests are SHA-256, in hex. None: there is none."""

    name: str
    published: str | None
    recomputed: str | None

    @property
    def equal(self) -> bool:
        """Whether both are the same."""
        return self.published == self.recomputed


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """A version, computed again."""

    about: About
    published: PublishedVersion
    manifest: Manifest
    compared: tuple[Compared, ...]

    @property
    def equal(self) -> bool:
        """Whether everything is as it was published."""
        return all(one.equal for one in self.compared)


def recompute(root: Path) -> Recomputed:
    """Compute an exported round's version again, after every file of the folder was held against its digest.

    Raises:
        FileNotFoundError: the folder is no exported round.
        NotAsExported: naming what is missing and what has changed.
        CannotRecompute: this installation cannot do it.
    """
    folder = RoundFolder(root)
    about = folder.about()
    published = folder.published(about)
    manifest = folder.manifest(published)
    folder.check(manifest)
    try:
        found = _replayed(folder, manifest)
    except (UnknownRule, Unsuitable, WrongNumberOfUpdates, SumOutOfRange, Unfit) as reason:
        raise CannotRecompute(f"{manifest.round}: {reason}") from reason
    return Recomputed(
        about=about,
        published=published,
        manifest=manifest,
        compared=(*_files(published, found), *_numbers(published, manifest)),
    )


def _replayed(folder: RoundFolder, manifest: Manifest) -> dict[str, str]:
    """The digests of the checkpoint (`MODEL`) and of the optimizer's new state, by letter."""
    with ExitStack() as stack:
        base = stack.enter_context(folder.open(BASE))
        schema = update_schema(parse_header(base.read(manifest.base.header_bytes), HEADER_LIMIT_BYTES).specs)
        base.seek(0)
        letters = [file.letter for file in manifest.state.files] if manifest.state else []
        states = {letter: stack.enter_context(folder.open(state_path(letter))) for letter in letters}
        hashes: dict[str, hashlib._Hash] = {}

        def base_data(begin: int, scratch: memoryview) -> memoryview:
            with folder.open(BASE) as file:
                file.seek(manifest.base.header_bytes + begin)
                file.readinto(scratch)
            return scratch

        moves = gradient(manifest, schema, _Updates(folder), LIMITS, base=base_data)
        for name, piece in assemble(manifest, base, states, moves):
            hashes.setdefault(name, hashlib.sha256()).update(piece)
        return {name: hash_.hexdigest() for name, hash_ in hashes.items()}


def _files(published: PublishedVersion, found: dict[str, str]) -> Iterator[Compared]:
    """The checkpoint, and the optimizer's state."""
    yield Compared("checkpoint", published.checkpoint.sha256, found[MODEL])
    files = {file.letter: file.sha256 for file in published.optimizer.files} if published.optimizer else {}
    made = {letter: sha256 for letter, sha256 in found.items() if letter != MODEL}
    for letter in sorted(files | made):
        yield Compared(f"state {letter}", files.get(letter), made.get(letter))


def _numbers(published: PublishedVersion, manifest: Manifest) -> Iterator[Compared]:
    """The bound beyond which updates were left out, the largest weight, and the norm to which the next round clips; each where
    there is one.
    """
    bound = norm_bound(manifest.outliers, [entry.norm for entry in (*manifest.entries, *manifest.quarantined)])
    norm = next_norm(published.config.clipping, manifest)
    claims = [min(entry.examples, manifest.max_examples) for entry in manifest.entries]
    pairs = {
        "norm bound": (manifest.norm_bound, bound),
        "claim cap": (manifest.claim_cap, claim_cap(manifest.max_claim_ratio, claims)),
        "clip norm": (published.clip_norm, norm),
    }
    for name, (was, found) in pairs.items():
        if (was, found) != (None, None):
            yield Compared(name, _text(was), _text(found))


def _text(number: float | None) -> str | None:
    return None if number is None else repr(number)


@dataclass(frozen=True, slots=True)
class _Updates:
    """Updates on the disk."""

    folder: RoundFolder
    concurrency: int = 2

    def read(self, entry: Entry, begin: int, scratch: memoryview) -> memoryview:
        """A range of an update's file.

        Raises:
            NotAsExported: it has become shorter since it was checked.
        """
        path = update_content(entry).path
        with self.folder.open(path) as file:
            file.seek(begin)
            if file.readinto(scratch) != len(scratch):
                raise NotAsExported(self.folder.root, [], [path])
        return scratch
