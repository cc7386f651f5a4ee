"""A round's frozen manifest, as it lies in the store."""

from __future__ import annotations

from chalicelib.rounds.round import Round
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from muster.aggregation.manifest import MANIFEST_LIMIT_BYTES, Manifest
from muster.wire.refs import Damaged, digest


def read_manifest(blobs: Blobs, rnd: Round) -> Manifest:
    """The manifest, checked against the digest that the round's move named."""
    sha256 = rnd.frozen.manifest_sha256
    data = blobs.read(keys.MANIFEST.key(round=rnd.id, sha256=sha256), MANIFEST_LIMIT_BYTES)
    if digest(data) != sha256:
        raise Damaged(f"manifest of round {rnd.id}: expected sha256 {sha256}, got {digest(data)}")
    return Manifest.from_bytes(data)
