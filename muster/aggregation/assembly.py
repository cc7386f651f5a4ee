"""The new checkpoint, written as a stream: base and state are read, and the new files come out, a step of elements at a time.

So a model need not fit into memory. Files are in canonical order, the pseudo-gradient comes range after range in the same
order, and booleans, which no update has, are the end of the base's file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Part, Result
from muster.aggregation.ranges import Slice, ranges, slices
from muster.aggregation.registry import Optimizer, find_optimizer
from muster.aggregation.server import LARGEST, advance
from muster.wire.arrays import DTYPES, Array
from muster.wire.gate import Readable, rounded_norm
from muster.wire.reasons import Reason
from muster.wire.refs import Damaged
from muster.wire.tensors import (
    HEADER_LIMIT_BYTES,
    ITEM_BYTES,
    LENGTH_BYTES,
    Schema,
    TensorSpec,
    Unfit,
    build_header,
    data_bytes,
    header_bytes,
    parse_header,
    update_schema,
)

STEP = 1 << 21
"""Elements that are moved at once: some 100 MB, with an optimizer's state and all copies."""

MODEL = "model"
"""The name of the checkpoint among the files that come out; the others are the letters of the optimizer's state."""


@dataclass
class Norm:
    """The L2 norm of a model over all its float tensors, summed up piece by piece in float64."""

    squares: float = 0.0

    def add(self, values: Array) -> None:
        """Count some finite values of a float tensor; a sum that is too large for a float64 is infinite."""
        wide = values.astype(np.float64)
        with np.errstate(over="ignore"):
            self.squares += float(np.dot(wide, wide))

    @property
    def rounded(self) -> float:
        """The norm, as a checkpoint's reference keeps it (`gate.rounded_norm`)."""
        return rounded_norm(self.squares)


def assemble(
    manifest: Manifest,
    base: Readable,
    state: Mapping[str, Readable],
    gradient: Iterable[tuple[Part, Result]],
    norm: Norm | None = None,
) -> Iterator[tuple[str, bytes]]:
    """The bytes of the new checkpoint (`MODEL`) and of the optimizer's new state (a file for each letter), piece by piece, in
    the order of each file.

    `base` and `state` are the files that the manifest names; `gradient` are the ranges of the last stage, in order. The new
    model's norm is added up in `norm`.

    Raises:
        Damaged: the base, or a state, is not the file that the manifest names. It is noticed at the end.
        Unfit: `not-finite` or `too-large`: a number of the new model is not finite, or beyond `LARGEST`.
        StateUnfit: `not-finite`: a number of the optimizer's new state is not, in float32.
    """
    optimizer = find_optimizer(manifest.optimizer)
    old = _File(base, manifest.base.sha256)
    model = old.header()
    schema = update_schema(model)
    kept = state_schema(schema)
    digests = {file.letter: file.sha256 for file in manifest.state.files} if manifest.state else {}
    states = {letter: _File(state[letter], sha256) for letter, sha256 in digests.items()}
    for file in states.values():
        file.header()
    yield MODEL, build_header(model)
    for letter in optimizer.letters:
        yield letter, build_header(kept)
    for part, result in gradient:
        yield from _moved(schema, part, result, old, states, optimizer, norm or Norm())
    yield MODEL, bytes(old.take(data_bytes(model) - data_bytes(schema)))  # the booleans
    for file in (old, *states.values()):
        file.finish()


def state_schema(schema: Schema) -> Schema:
    """What a file of an optimizer's state holds, in its order, which is the update's."""
    return tuple(TensorSpec(name=spec.name, dtype="F32", shape=spec.shape) for spec in schema if spec.is_parameter)


def _moved(
    schema: Schema, part: Part, result: Result, old: _File, states: Mapping[str, _File], optimizer: Optimizer, norm: Norm
) -> Iterator[tuple[str, bytes]]:
    """One range, step by step."""
    firsts = {piece.tensor: piece.low for piece in slices(schema, part.start, part.stop)}
    for start, stop in _steps(schema, part):
        for piece in slices(schema, start, stop):
            spec = schema[piece.tensor]
            at = piece.low - firsts[piece.tensor]
            base = np.frombuffer(old.take(len(piece) * ITEM_BYTES[spec.dtype]), DTYPES[spec.dtype])
            before = None
            if states and spec.is_parameter:
                before = {letter: np.frombuffer(file.take(4 * len(piece)), np.dtype("<f4")) for letter, file in states.items()}
            moved = result[spec.name][at : at + len(piece)]
            after, kept = advance(base, moved, optimizer, before, spec.is_buffer)
            _check(spec, piece, after, kept)
            if spec.is_float:
                norm.add(after)
            yield MODEL, after.tobytes()
            for letter, values in kept.items():
                yield letter, values.tobytes()


def _steps(schema: Schema, part: Part) -> Iterator[tuple[int, int]]:
    """A part's range, in pieces of at most `STEP` elements."""
    for start, stop in ranges(schema, STEP):
        low, high = max(start, part.start), min(stop, part.stop)
        if low < high:
            yield low, high


class StateUnfit(Unfit):
    """An optimizer's state that cannot be published, and why."""


def _check(spec: TensorSpec, piece: Slice, values: Array, state: Mapping[str, Array]) -> None:
    def got(array: Array, bad: Array) -> str:
        at = int(np.flatnonzero(bad)[0])
        return f"{array[at]} in {spec.name[:80]!r} at element {piece.low + at}"

    for letter, kept in state.items():
        if not np.isfinite(kept).all():
            raise StateUnfit(Reason.NOT_FINITE, f"finite float32 numbers as {letter}", got(kept, ~np.isfinite(kept)))
    if values.dtype.kind != "f":
        return
    if not np.isfinite(values).all():
        raise Unfit(Reason.NOT_FINITE, "finite numbers", got(values, ~np.isfinite(values)))
    if values.size and not -LARGEST <= float(values.min()) <= float(values.max()) <= LARGEST:
        raise Unfit(
            Reason.TOO_LARGE, f"magnitudes of at most {LARGEST:g}", got(values, np.abs(values.astype(np.float64)) > LARGEST)
        )


@dataclass
class _File:
    """A tensor file that is read from its beginning to its end, and hashed on the way."""

    file: Readable
    sha256: str

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    def header(self) -> Schema:
        """The file's tensors."""
        prefix = self.take(LENGTH_BYTES)
        text = self.take(header_bytes(prefix, HEADER_LIMIT_BYTES) - LENGTH_BYTES)
        return parse_header(prefix + text, HEADER_LIMIT_BYTES).specs

    def take(self, count: int) -> bytearray:
        """The next bytes."""
        data = bytearray(count)
        view, got = memoryview(data), 0
        while got < count:
            more = self.file.readinto(view[got:])
            if not more:
                raise Damaged(f"expected {count - got} more bytes of the file with sha256 {self.sha256}")
            got += more
        self._hash.update(view)
        return data

    def finish(self) -> None:
        """Check that this was the whole file, and the right one."""
        if self.file.readinto(memoryview(bytearray(1))):
            raise Damaged(f"the file with sha256 {self.sha256} goes on")
        found = self._hash.hexdigest()
        if found != self.sha256:
            raise Damaged(f"expected sha256 {self.sha256}, got {found}")
