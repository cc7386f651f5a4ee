"""The updates that every contestant gets, made anew in its own process from the same seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Update = dict[str, npt.NDArray[np.float32]]

LAYERS = (0.5, 0.25, 0.125, 0.0625, 0.0625)
"""The shares of a model's parameters that its tensors have."""

SHAPES = {"tiny": (10, 100_000), "100x1M": (100, 1_000_000), "1000x1M": (1_000, 1_000_000), "50x25M": (50, 25_000_000)}
"""Updates, and float32 parameters of each."""

ROBUST_SHAPE = "100x1M"
TRIM = 10
BYZANTINE = 10
KEEP = 20


def update(number: int, parameters: int) -> Update:
    """One client's update."""
    rng = np.random.default_rng(number)
    made = {}
    for layer, share in enumerate(LAYERS):
        values = rng.random(int(parameters * share), dtype=np.float32)
        values -= np.float32(0.5)
        made[f"layer{layer}.weight"] = values
    return made


def weights(updates: int) -> list[int]:
    """The examples that the clients claim."""
    return [int(n) for n in np.random.default_rng(7).integers(1, 1000, updates)]


def nbytes(shape: str) -> int:
    """Bytes of all tensors of all updates."""
    updates, parameters = SHAPES[shape]
    return 4 * updates * parameters


def digest_of(result: dict[str, Any]) -> list[float]:
    """A few numbers of a result, so that contestants can be compared: means and the first elements, by layer."""
    return [float(np.float64(result[name].reshape(-1)[:1000]).sum()) for name in sorted(result)]
