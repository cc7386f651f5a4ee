"""How large, and how fine, the tensors of an update are: what inspection measured, in two bytes a tensor, as one short text.

The first byte is the exponent of the largest element (`gate.Measured.exponents`), the second the level (`spread`). Both are
safe to be wrong on one side: an exponent may be too large and a level too low. So numbers beyond what a byte can say are held
at its ends, and where a model has more than `GROUPS` float tensors, neighbours share the largest exponent and the lowest level.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from muster.wire.gate import NORM_LIMIT, ZERO_EXPONENT, exponent_of
from muster.wire.spread import NO_LEVEL
from muster.wire.values import LARGEST

GROUPS = 256
"""Pairs of bytes that an update has at most: a manifest of 100,000 updates stays below 100 MB."""

UNKNOWN = ""
"""The text of an update that was not measured: anything that passes the gate."""

UNKNOWN_LEVEL = -NO_LEVEL
"""Lies below every level."""

_LOWEST_EXPONENT, _LOWEST_LEVEL = -148, -180
"""What a byte of 0 stands for, and its neighbours count from: no nonzero element; no level that is known."""

_HIGHEST = max(exponent_of((LARGEST + 1) * NORM_LIMIT), _LOWEST_EXPONENT + 255)

Numbers = npt.NDArray[np.int64]


def packed(exponents: Sequence[int], levels: Sequence[int]) -> str:
    """The text of one update, from the exponent and the level of each float tensor, in the schema's order."""
    if not exponents:
        return UNKNOWN
    high = np.array([0 if e == ZERO_EXPONENT else min(max(e - _LOWEST_EXPONENT, 1), 255) for e in exponents], np.uint8)
    low = np.array([min(max(level - _LOWEST_LEVEL, 0), 255) for level in levels], np.uint8)
    firsts = np.flatnonzero(np.diff(_groups(len(exponents)), prepend=-1))
    pairs = np.concatenate([np.maximum.reduceat(high, firsts), np.minimum.reduceat(low, firsts)])
    return base64.b64encode(pairs.tobytes()).decode()


class MagnitudeTable:
    """The numbers of many updates, of which each group of neighbouring float tensors is looked at by itself."""

    def __init__(self, texts: Sequence[str], tensors: int) -> None:
        self.groups = _groups(tensors)
        """The group of each float tensor of the schema."""
        self._count = int(self.groups[-1]) + 1 if tensors else 0
        unknown = bytes([255] * self._count + [0] * self._count)
        pairs = b"".join(base64.b64decode(text) or unknown for text in texts)
        self._pairs = np.frombuffer(pairs, np.uint8).reshape(len(texts), 2 * self._count)

    def __len__(self) -> int:
        return self._count

    def column(self, group: int) -> tuple[Numbers, Numbers]:
        """Exponent and level of each update."""
        high, low = self._pairs[:, group].astype(np.int64), self._pairs[:, self._count + group].astype(np.int64)
        exponents = np.where(high == 0, ZERO_EXPONENT, np.where(high == 255, _HIGHEST, high + _LOWEST_EXPONENT))
        return exponents, np.where(high == 0, NO_LEVEL, np.where(low == 0, UNKNOWN_LEVEL, low + _LOWEST_LEVEL))


def _groups(tensors: int) -> Numbers:
    """The group of each of so many float tensors."""
    return np.arange(tensors) * min(tensors, GROUPS) // max(1, tensors)
