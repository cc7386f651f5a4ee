"""The whole aggregation in one go, from a manifest and the bytes that it names: what every worker together computes.

Whoever has the manifest, the base, the optimizer's state and the updates gets the published bytes again.
"""

from __future__ import annotations

from collections.abc import Mapping

from muster.aggregation.manifest import Manifest
from muster.aggregation.registry import Fetch, PseudoGradient, find_aggregator, find_optimizer
from muster.aggregation.server import advance
from muster.wire.arrays import Array, decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, parse_header, update_schema


def replay(manifest: Manifest, base: bytes, state: bytes | None, fetch: Fetch, part_bytes: int) -> tuple[bytes, bytes | None]:
    """The checkpoint, and the optimizer's state if it keeps one, as the round published them.

    `part_bytes` cuts the work and does not change the result.

    Raises:
        TooFewUpdates, SumOutOfRange, UnknownRule: the round was abandoned for this reason.
    """
    schema = update_schema(parse_header(base, HEADER_LIMIT_BYTES).specs)
    kept = decode(state, HEADER_LIMIT_BYTES) if state else None
    return finish(manifest, decode(base, HEADER_LIMIT_BYTES), kept, gradient(manifest, schema, fetch, part_bytes))


def gradient(manifest: Manifest, schema: Schema, fetch: Fetch, part_bytes: int) -> PseudoGradient:
    """The pseudo-gradient of a manifest over an update schema."""
    aggregator = find_aggregator(manifest.aggregator)
    aggregator.check(len(manifest.entries))
    parts = aggregator.plan(manifest, schema, part_bytes)
    results = (aggregator.part(part, manifest, schema, fetch) for part in parts)
    return aggregator.merge(manifest, schema, results, fetch)


def finish(
    manifest: Manifest, base: Mapping[str, Array], state: Mapping[str, Array] | None, found: PseudoGradient
) -> tuple[bytes, bytes | None]:
    """The files of the new model and of the optimizer's new state, if it keeps one."""
    model, kept = advance(base, found, find_optimizer(manifest.optimizer), state)
    return encode(model), encode(kept) if kept else None
