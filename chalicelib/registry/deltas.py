"""Deltas of fresh checkpoints: made once, before anything names them, and kept where they are worth it."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.spool import Spool
from muster.wire.deltas import DeltaEnds, encode_delta
from muster.wire.refs import CheckpointRef, DeltaRef

WORTH_IT = 0.9
"""A delta that is longer than this fraction of the checkpoint is not kept: it saves its readers little, and costs them work."""


class Deltas:
    """The deltas of the bucket. None is made to a checkpoint of more than `limit_bytes`: a worker's time is short."""

    def __init__(self, blobs: Blobs, limit_bytes: int) -> None:
        self._blobs = blobs
        self._limit_bytes = limit_bytes

    def make(self, round_id: str, target: CheckpointRef, bases: Iterable[CheckpointRef]) -> tuple[DeltaRef, ...]:
        """The deltas that lead to a stored checkpoint, and are worth it; one that is there already is not made again."""
        if target.nbytes > self._limit_bytes:
            return ()
        others = {base.sha256: base for base in bases if base.sha256 != target.sha256}
        found = (self._delta(round_id, base, target) for base in others.values())
        return tuple(delta for delta in found if delta)

    def _delta(self, round_id: str, base: CheckpointRef, target: CheckpointRef) -> DeltaRef | None:
        key = keys.DELTA.key(base_sha256=base.sha256, target_sha256=target.sha256)
        # What is named is what is there: another release's zlib may have written it, in other bytes.
        stat = self._blobs.stat(key)
        if stat is None and self._make(round_id, key, base, target):
            stat = self._blobs.stat(key)
        return DeltaRef(base.sha256, stat.nbytes) if stat else None

    def _make(self, round_id: str, key: str, base: CheckpointRef, target: CheckpointRef) -> bool:
        """Write a delta, if it is worth it, and whether it was."""
        with (
            self._blobs.open(keys.CHECKPOINT.key(sha256=base.sha256), base.nbytes) as had,
            self._blobs.open(keys.CHECKPOINT.key(sha256=target.sha256), target.nbytes) as wanted,
            Spool(self._blobs, keys.STAGED.prefix(round=round_id)) as spool,
        ):
            for piece in encode_delta(had, wanted, DeltaEnds(base.sha256, target.sha256, target.nbytes)):
                spool.write(piece)
                if spool.nbytes > WORTH_IT * target.nbytes:
                    return False
            spool.keep_as(key)
        return True
