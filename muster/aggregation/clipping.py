"""The norm to which updates are clipped, and how it follows them (Andrew et al., "Differentially Private Learning with Adaptive
Clipping", NeurIPS 2021, without the noise):

    C' = C * exp(-rate * (share of updates with a norm of at most C - quantile))
"""

from __future__ import annotations

import math

from muster.aggregation.manifest import Manifest
from muster.wire.admin import Clipping

DIGITS = 6
"""Significant digits that are kept of the norm: exp differs in its last bit from one C library to another, and a version's
bytes may not."""


def first_norm(clipping: Clipping | None, inherited: float | None) -> float | None:
    """The norm of a round: the configured one, or, where it is adaptive, the one that came with the base."""
    if clipping is None:
        return None
    return inherited if clipping.adaptive and inherited is not None else clipping.norm


def next_norm(clipping: Clipping | None, manifest: Manifest) -> float | None:
    """The norm that goes along with the new version; None where it is not adaptive."""
    if clipping is None or not clipping.adaptive or manifest.clip_norm is None:
        return None
    within = sum(entry.norm <= manifest.clip_norm for entry in manifest.entries) / len(manifest.entries)
    return float(f"{manifest.clip_norm * math.exp(-clipping.rate * (within - clipping.quantile)):.{DIGITS}g}")
