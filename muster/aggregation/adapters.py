"""Low-rank adapters among a model's tensors: pairs of A, of shape (rank, inputs), and B, of (outputs, rank)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from muster.aggregation.registry import Unsuitable
from muster.wire.adapters import names_of
from muster.wire.tensors import Schema

MOST_RANK = 128
"""The largest rank of a pair; decomposing takes the time of its cube."""

LONGEST_SIDE = 1 << 16
"""The most inputs, or outputs, of a layer."""

PAIRS_TOGETHER = 4
"""Pairs in one part at most: each takes from a tenth of a second to a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterPair:
    """One pair: the numbers of its tensors in the schema, and its sizes."""

    layer: str
    a: int
    b: int
    rank: int
    outputs: int
    inputs: int


def pairs_of(schema: Schema) -> tuple[AdapterPair, ...]:
    """All pairs, in the order of the file.

    Raises:
        Unsuitable: there is none; one has no other half; or its tensors are no adapters of one rank.
    """
    numbers = {spec.name: number for number, spec in enumerate(schema)}
    found = []
    for name in numbers:
        pair = names_of(name)
        if pair is None:
            continue
        other = pair.b if name == pair.a else pair.a
        if other not in numbers:
            raise _unfit(f"tensor {name[:80]!a}", f"its other half {other[:80]!a}", "none")
        if name == pair.a:
            found.append(_pair(pair.layer, schema, numbers[pair.a], numbers[pair.b]))
    if not found:
        names = "'<layer>.A' of (rank, inputs) and '<layer>.B' of (outputs, rank), or as PEFT names them"
        raise _unfit("the model's tensors", f"pairs {names}", "none")
    return tuple(found)


def _pair(layer: str, schema: Schema, a: int, b: int) -> AdapterPair:
    down, up = schema[a], schema[b]
    for spec, shape in ((down, "(rank, inputs)"), (up, "(outputs, rank)")):
        if not spec.is_parameter:
            raise _unfit(f"tensor {spec.name[:80]!a}", "a float parameter", "a buffer" if spec.is_buffer else spec.dtype)
        if len(spec.shape) != 2 or not spec.elements:
            raise _unfit(f"tensor {spec.name[:80]!a}", f"the shape {shape}", str(list(spec.shape)))
    if down.dtype != up.dtype:
        raise _unfit(f"the adapters of {layer[:80]!a}", "one dtype", f"{down.dtype} and {up.dtype}")
    (rank, inputs), (outputs, columns) = down.shape, up.shape
    if rank != columns:
        raise _unfit(f"tensor {up.name[:80]!a}", f"as many columns as {down.name[:80]!a} has rows ({rank})", str(columns))
    most = min(MOST_RANK, inputs, outputs)
    if rank > most:
        why = "the shorter side" if most < MOST_RANK else "for any layer"
        raise _unfit(f"the adapters of {layer[:80]!a}", f"a rank of at most {most}, {why}", str(rank))
    if max(inputs, outputs) > LONGEST_SIDE:
        raise _unfit(
            f"the adapters of {layer[:80]!a}", f"at most {LONGEST_SIDE:,} inputs or outputs", f"{max(inputs, outputs):,}"
        )
    return AdapterPair(layer=layer, a=a, b=b, rank=rank, outputs=outputs, inputs=inputs)


def _unfit(what: str, expected: str, got: str) -> Unsuitable:
    return Unsuitable(f"aggregator: {what}", expected, got)


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Pairs that lie together in the file, with whatever lies between their halves: elements `start` up to `stop`."""

    start: int
    stop: int
    pairs: tuple[AdapterPair, ...]


def together(
    schema: Schema, pairs: Sequence[AdapterPair], cost: Callable[[AdapterPair], int], room: int
) -> tuple[PairGroup, ...]:
    """The pairs in the order of the file, in groups of neighbours that cost no more than `room` together, or of one each.

    Halves whose places overlap with those of another pair are in one group whatever it costs.
    """
    starts = [0, *accumulate(spec.elements for spec in schema)]
    groups: list[PairGroup] = []
    spent = 0
    for pair in sorted(pairs, key=lambda pair: min(pair.a, pair.b)):
        start, stop = starts[min(pair.a, pair.b)], starts[max(pair.a, pair.b) + 1]
        last = groups[-1] if groups else None
        fits = last and start == last.stop and spent + cost(pair) <= room and len(last.pairs) < PAIRS_TOGETHER
        if last and (start < last.stop or fits):
            groups[-1] = PairGroup(last.start, max(stop, last.stop), (*last.pairs, pair))
            spent += cost(pair)
        else:
            groups.append(PairGroup(start, stop, (pair,)))
            spent = cost(pair)
    return tuple(groups)
