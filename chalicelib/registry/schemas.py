"""A model's schema: the header of its checkpoint, fetched by one ranged read and remembered: a checkpoint never changes."""

from __future__ import annotations

from chalicelib.recent import Recent
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from muster.wire.encodings import update_lengths
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, parse_header, update_schema


class Schemas:
    """Schemas by checkpoint."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._known: Recent[str, Schema] = Recent()

    def of(self, ref: CheckpointRef) -> Schema:
        """The tensors of a checkpoint, in the order of its file."""
        known = self._known.get(ref.sha256)
        if known is None:
            head = self._blobs.read_head(keys.CHECKPOINT.key(sha256=ref.sha256), ref.header_bytes)
            known = parse_header(head, HEADER_LIMIT_BYTES).specs
            self._known.put(ref.sha256, known)
        return known


def checkpoint_ref(version: int, sha256: str, nbytes: int, header_bytes: int, schema: Schema) -> CheckpointRef:
    """The reference to a checkpoint of this schema; lengths in bytes."""
    shortest, longest = update_lengths(update_schema(schema))
    return CheckpointRef(
        version=version,
        sha256=sha256,
        nbytes=nbytes,
        header_bytes=header_bytes,
        min_update_bytes=shortest,
        max_update_bytes=longest,
    )
