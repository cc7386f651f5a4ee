"""Dollars, for a person."""

from __future__ import annotations

import math

LEAST = 1e-7


def written(dollars: float) -> str:
    """Two digits after the point, or as many as show two of a small amount."""
    if dollars == 0.0 or abs(dollars) >= 1.0:
        return f"${dollars:,.2f}"
    if abs(dollars) < LEAST:
        return "less than $0.0000001"
    return f"${dollars:.{min(8, 1 - math.floor(math.log10(abs(dollars))))}f}"
