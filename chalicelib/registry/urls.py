"""Checkpoints as devices receive them: what they are, and a URL that reads them."""

from __future__ import annotations

from chalicelib.storage import keys
from chalicelib.storage.presign import Presigner
from muster.wire import messages as wire
from muster.wire.refs import CheckpointRef


def downloadable(ref: CheckpointRef, presigner: Presigner) -> wire.Checkpoint:
    """A checkpoint with a fresh presigned GET."""
    url = presigner.get(keys.CHECKPOINT.key(sha256=ref.sha256))
    return wire.Checkpoint(version=ref.version, sha256=ref.sha256, bytes=ref.nbytes, url=url)
