"""What hostile devices send instead of an update.

| kind | sends |
|---|---|
| `nan` | its update, with one number that is none: averaged, it would make the whole model NaN |
| `giant` | its update, a million times as long |
| `sign-flip` | its update, turned around, three times as long |
| `noise` | noise as long as its update |
| `liar` | its update, and the claim of a billion examples |

What stops which is in docs/aggregation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from muster.device.trainer import TrainingResult
from muster.device.update import changes
from muster.wire.arrays import Array, encode

HostileKind = Literal["nan", "giant", "sign-flip", "noise", "liar"]
KINDS: tuple[str, ...] = get_args(HostileKind)

GIANT, FLIPPED = 1e6, -3.0
CLAIM = 10**9
"""Examples that a liar says it trained on: as many as a message takes."""


def spoilt(kind: HostileKind, base: Mapping[str, Array], result: TrainingResult, seed: int) -> tuple[bytes, int]:
    """The file of an update, and how many examples it claims to come from."""
    generator = np.random.default_rng(seed)
    update = changes(base, result)
    with np.errstate(over="ignore"):
        for name, change in update.items():
            if change.dtype.kind == "f":
                update[name] = np.ascontiguousarray(_spoilt(kind, change, generator), dtype=change.dtype)
    return encode(update), CLAIM if kind == "liar" else result.examples


def _spoilt(kind: HostileKind, change: Array, generator: np.random.Generator) -> Array:
    spoilt: Array = change.copy()
    match kind:
        case "giant":
            spoilt = spoilt * GIANT
        case "sign-flip":
            spoilt = spoilt * FLIPPED
        case "noise":
            spoilt = generator.normal(0.0, float(change.astype(np.float64).std()), change.shape)
        case "nan":
            spoilt.reshape(-1)[:1] = np.nan
        case "liar":
            pass
    return spoilt
