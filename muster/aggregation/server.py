"""The last step: a model, moved by a pseudo-gradient, and the optimizer's state after it.

Parameters move as the optimizer says. Buffers (BatchNorm's running statistics) take the plain mean: an adaptive step could make
a variance negative. Counters count up, held at the ends of their dtype. Booleans stay. All of it is element-wise float64, cast
once to the base's dtype, so the result has the same bits on every CPU, and a model may be moved piece by piece.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from muster.aggregation.registry import Optimizer
from muster.wire.arrays import Array

BUFFERS = ("running_mean", "running_var")
"""The ends of the names of buffers (PyTorch's BatchNorm and its kin)."""

KEPT = np.dtype("<f4")
"""Optimizer state is computed in float64 and kept in float32."""

State = Mapping[str, Array]
"""What an optimizer keeps of one tensor, or of a piece of it, by letter."""


def has_state(name: str) -> bool:
    """Whether an optimizer may keep something of the float tensor of this name."""
    return not name.endswith(BUFFERS)


def advance(name: str, base: Array, gradient: Array, optimizer: Optimizer, state: State | None) -> tuple[Array, State]:
    """A tensor, or a piece of one, after its step; and the optimizer's new state of it, float32, by letter.

    A value that does not fit a narrow float dtype becomes its infinity; the caller refuses such a model.
    """
    if base.dtype.kind != "f":
        return _count_up(base, gradient), {}
    kept: State = {}
    if has_state(name):
        step = optimizer.step(gradient, {k: v.astype(np.float64) for k, v in state.items()} if state else None)
        gradient = step.move
        kept = {letter: value.astype(KEPT) for letter, value in step.state.items()}
    with np.errstate(over="ignore"):
        moved: Array = (base.astype(np.float64) + gradient).astype(base.dtype)
    return moved, kept


def _count_up(base: Array, delta: Array) -> Array:
    """`base + delta` in base's integer dtype, held at its ends instead of wrapping round."""
    limits = np.iinfo(base.dtype)
    wide = base.astype(object) + delta.astype(object)
    held: Array = np.clip(wide, limits.min, limits.max).astype(base.dtype)
    return held
