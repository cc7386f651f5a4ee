"""The last step: a model, moved by a pseudo-gradient, and the optimizer's state after it.

Parameters move as the optimizer says. Buffers (BatchNorm's running statistics) take the plain mean: an adaptive step could make
a variance negative. Counters count up, held at the ends of their dtype. All of it is element-wise float64, cast once to the
base's dtype, so the result has the same bits on every CPU.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from muster.aggregation.registry import F64, Optimizer, PseudoGradient
from muster.wire.arrays import Array

BUFFERS = ("running_mean", "running_var")
"""The ends of the names of buffers (PyTorch's BatchNorm and its kin)."""

KEPT = np.dtype("<f4")
"""Optimizer state is computed in float64 and kept in float32."""


def advance(
    base: Mapping[str, Array], gradient: PseudoGradient, optimizer: Optimizer, state: Mapping[str, Array] | None
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The new model, and the optimizer's new state (`<letter>/<tensor>`, float32), from the base and its state.

    A value that does not fit a narrow float dtype becomes its infinity; the caller refuses such a model.
    """
    moved, kept = dict[str, Array](), dict[str, Array]()
    for name, tensor in base.items():
        if name in gradient.floats:
            move = gradient.floats[name]
            if not name.endswith(BUFFERS):
                before = {letter: _wide(state[f"{letter}/{name}"]) for letter in optimizer.letters} if state else None
                step = optimizer.step(move, before)
                move = step.move
                kept |= {f"{letter}/{name}": value.astype(KEPT) for letter, value in step.state.items()}
            with np.errstate(over="ignore"):
                moved[name] = (tensor.astype(np.float64) + move).astype(tensor.dtype)
        elif name in gradient.counters:
            moved[name] = _count_up(tensor, gradient.counters[name])
        else:
            moved[name] = tensor
    return moved, kept


def _wide(array: Array) -> F64:
    return array.astype(np.float64)


def _count_up(base: Array, delta: Array) -> Array:
    """`base + delta` in base's integer dtype, held at its ends instead of wrapping round."""
    limits = np.iinfo(base.dtype)
    wide = base.astype(object) + delta.astype(object)
    held: Array = np.clip(wide, limits.min, limits.max).astype(base.dtype)
    return held
