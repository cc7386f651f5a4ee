"""How much one client may weigh beside the others of its round, whatever it claims.

    cap = floor(ratio * median)

The median is the lower one of the claims, each first capped by `max_examples`. Liars who are at most half of a round cannot
push it above what an honest client claims; who claims too little lowers it, which makes weights more equal, and no more.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from fractions import Fraction
from statistics import median_low

from muster.wire.admin import Off


def claim_cap(ratio: float | Off, claims: Collection[int]) -> int | None:
    """The largest weight among some claims (examples, one or more; at least one claim), in any order; None: any is fine.

    Exact, so that everybody computes the same one. It is at least the median, so no more than half of the claims exceed it.
    """
    return None if ratio == "none" else math.floor(Fraction(ratio) * median_low(claims))
