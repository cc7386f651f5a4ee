"""Lots: who is drawn at once, and when the others are (pure). Judges and places to train are drawn alike."""

from __future__ import annotations

import hashlib
import math


def lot(drawn_from: str, client_id: str) -> float:
    """A client's lot, from 0 up to but not including 1, of what nobody can know before it is time."""
    digest = hashlib.sha256(f"{drawn_from}{client_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def drawn_after(lot: float, first: float, hold: float, everybody: float) -> float:
    """After which part of the time a lot is drawn, when the share `first`, below 1, is drawn at once.

    From `hold` to `everybody` the share grows from `first` to 1 at a constant rate: share = first ** (1 - grown).
    """
    if lot < first:
        return 0.0
    grown = 1.0 - math.log(lot) / math.log(first)
    return hold + (everybody - hold) * grown
