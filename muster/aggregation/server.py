"""The last step: a model, moved by a pseudo-gradient, and the optimizer's state after it.

Parameters move as the optimizer says. Buffers (BatchNorm's running statistics; the checkpoint says which tensors are any) take
the plain mean: an adaptive step could make a variance negative. Counters count up, held at the ends of their dtype. Booleans
stay. All of it is element-wise float64, cast once to the base's dtype, so the result has the same bits on every CPU, and a
model may be moved piece by piece.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from muster.aggregation.registry import Optimizer
from muster.wire.arrays import Array

LARGEST = 1e30
"""The largest magnitude of an element of a published model: an update may be as long as that, and no model longer."""

KEPT = np.dtype("<f4")
"""Optimizer state is computed in float64 and kept in float32."""

State = Mapping[str, Array]
"""What an optimizer keeps of one tensor, or of a piece of it, by letter."""


def advance(
    base: Array, gradient: Array, optimizer: Optimizer, state: State | None, is_buffer: bool = False
) -> tuple[Array, State]:
    """A tensor, or a piece of one, after its step; and the optimizer's new state of it, float32, by letter.

    A value that does not fit its dtype becomes an infinity; the caller refuses such a model, and such a state.
    """
    if base.dtype.kind != "f":
        return _count_up(base, gradient), {}
    kept: State = {}
    with np.errstate(over="ignore", invalid="ignore"):
        if not is_buffer:
            step = optimizer.step(gradient, {k: v.astype(np.float64) for k, v in state.items()} if state else None)
            gradient = step.move
            kept = {letter: value.astype(KEPT) for letter, value in step.state.items()}
        moved: Array = (base.astype(np.float64) + gradient).astype(base.dtype)
    return moved, kept


def _count_up(base: Array, delta: Array) -> Array:
    """`base + delta` in base's integer dtype, held at its ends instead of wrapping round."""
    limits = np.iinfo(base.dtype)
    wide = base.astype(object) + delta.astype(object)
    held: Array = np.clip(wide, limits.min, limits.max).astype(base.dtype)
    return held
