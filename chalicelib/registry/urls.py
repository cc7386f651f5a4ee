"""Checkpoints as devices receive them: what they are, and a URL that reads them."""

from __future__ import annotations

from collections.abc import Collection

from chalicelib import metering
from chalicelib.storage import keys
from chalicelib.storage.presign import Presigner
from muster.pricing.usage import GB, usage
from muster.wire import messages as wire
from muster.wire.refs import CheckpointRef


def downloadable(ref: CheckpointRef, presigner: Presigner, have: Collection[str] = ()) -> wire.Checkpoint:
    """A checkpoint with a fresh presigned GET, and the shortest delta to it from one of those that the caller says it has.

    What it says is believed: it may read all of them anyway, and a delta to what it has not is of no use to it.
    """
    url = presigner.get(keys.CHECKPOINT.key(sha256=ref.sha256))
    usable = [delta for delta in ref.deltas if delta.base_sha256 in have] if ref.sha256 not in have else []
    shortest = min(usable, key=lambda delta: delta.nbytes, default=None)
    if shortest is None:
        return wire.Checkpoint(version=ref.version, sha256=ref.sha256, bytes=ref.nbytes, url=url)
    delta_url = presigner.get(keys.DELTA.key(base_sha256=shortest.base_sha256, target_sha256=ref.sha256))
    delta = wire.Delta(base_sha256=shortest.base_sha256, bytes=shortest.nbytes, url=delta_url)
    return wire.Checkpoint(version=ref.version, sha256=ref.sha256, bytes=ref.nbytes, url=url, delta=delta)


def handed_out(ref: CheckpointRef, presigner: Presigner, have: Collection[str] = ()) -> wire.Checkpoint:
    """The same for a device, which will read it, unless it says that it has it already."""
    found = downloadable(ref, presigner, have)
    if ref.sha256 not in have:
        read = found.delta or found
        metering.note(usage(s3_get_requests=1, egress_gb=read.bytes / GB))
    return found
