"""Models and manifests for the tests of plans: no bytes, only what a plan is made of."""

from __future__ import annotations

from collections.abc import Sequence

from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.plan import Limits, Part
from muster.aggregation.ranges import elements
from muster.wire.admin import RoundConfig, Rule
from muster.wire.magnitudes import packed
from muster.wire.tensors import Schema, TensorSpec, data_bytes
from tests.aggregation.making import REF

LIMITS = Limits(1 << 30, 16 << 30, 4000)
"""Those of a function as it is deployed."""


def check_ends(parts: Sequence[Part], schema: Schema) -> None:
    """All elements, range after range."""
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == elements(schema)


def layers(megabytes: float, count: int = 100) -> Schema:
    """A model of so many layers of one size."""
    return tuple(
        TensorSpec(name=f"layer{n:03d}", dtype="F32", shape=(int(megabytes * 1_000_000) // 4 // count,)) for n in range(count)
    )


def unread(schema: Schema, updates: int, named: Rule) -> Manifest:
    """A manifest of updates that nobody reads."""
    size, magnitudes = data_bytes(schema), packed((0,) * len(schema), (-16,) * len(schema))
    entries = [
        Entry(
            client_id=f"c{n:06d}",
            key="",
            etag="",
            sha256="",
            nbytes=size,
            examples=10,
            norm=1.0,
            header_bytes=100,
            magnitudes=magnitudes,
        )
        for n in range(updates)
    ]
    return freeze("m.1", REF, RoundConfig(goal=100_000, quorum=1, aggregator=named), None, None, entries)
