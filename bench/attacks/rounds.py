"""A round without a cloud: each upload passes the gate, the accepted ones are frozen, and the version is computed from that."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster.aggregation.clipping import first_norm
from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.registry import TooFewUpdates
from muster.aggregation.replay import replay
from muster.wire import gate
from muster.wire.admin import RoundConfig
from muster.wire.encodings import Encoding
from muster.wire.magnitudes import packed
from muster.wire.refs import CheckpointRef, digest
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, length_range, parse_header, update_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What arrives at the server: the file, and the examples that the client claims."""

    client_id: str
    update: bytes
    examples: int
    hostile: bool
    """What the server cannot know, and the report of a training does."""
    encoding: Encoding = "plain"


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upload that passed the gate, and what the gate measured."""

    upload: Upload
    entry: Entry


def inspect(upload: Upload, schema: Schema, config: RoundConfig, base_norm: float) -> Arrived:
    """What the server's worker does with an upload, of a round whose base has this L2 norm.

    Raises:
        Unfit: it is rejected.
    """
    sha256, nbytes = digest(upload.update), len(upload.update)
    most = None if config.max_count == "none" else config.max_count
    longest = gate.norm_limit(config.max_norm, base_norm)
    measured = gate.inspect(
        io.BytesIO(upload.update), nbytes, schema, sha256, upload.encoding, max_norm=longest, max_count=most
    )
    entry = Entry(
        client_id=upload.client_id,
        key=upload.client_id,
        etag="",
        sha256=sha256,
        nbytes=nbytes,
        examples=upload.examples,
        norm=measured.norm,
        header_bytes=measured.header_bytes,
        encoding=upload.encoding,
        magnitudes=packed(measured.exponents, measured.levels),
    )
    return Arrived(upload, entry)


def frozen(number: int, model: bytes, config: RoundConfig, accepted: Sequence[Arrived]) -> Manifest:
    """What a round aggregates.

    Raises:
        WrongNumberOfUpdates: the outliers leave it without its quorum.
    """
    if len(accepted) < config.quorum:
        raise TooFewUpdates("a round", config.quorum, len(accepted))
    header = parse_header(model, HEADER_LIMIT_BYTES)
    least, most = length_range(update_schema(header.specs))
    base = CheckpointRef(
        version=number - 1,
        sha256=digest(model),
        nbytes=len(model),
        header_bytes=header.data_start,
        min_update_bytes=least,
        max_update_bytes=most,
    )
    clip_norm = first_norm(config.clipping, None)
    manifest = freeze(f"bench.{number}", base, config, None, clip_norm, [one.entry for one in accepted])
    if len(manifest.entries) < config.quorum:
        raise TooFewUpdates("a round", config.quorum, len(manifest.entries))
    return manifest


def aggregated(manifest: Manifest, model: bytes, updates: Mapping[str, bytes]) -> bytes:
    """The checkpoint, from the manifest and the files that it names: a pure function of them.

    Raises:
        WrongNumberOfUpdates, SumOutOfRange, Unfit: the round is abandoned.
    """
    return replay(manifest, model, {}, lambda entry: updates[entry.key])["model"]
