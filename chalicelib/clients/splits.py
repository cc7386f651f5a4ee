"""Who gets what: a client's place on a line from 0 to 10,000, which is always the same for the same salt.

    place("digits/7", "kitchen-1")  ──▶  9,524: it is among the first 95.25 per cent, and among any more

The place is a hash of a salt and the client's id, so nobody has to remember it, and anybody can compute it. Two salts give
places that have nothing to do with each other. A share that grows takes in the places above it and lets nobody go.

The hash, in unsigned 32-bit arithmetic: FNV-1a over the UTF-8 bytes of salt, a zero byte, and id (Fowler, Noll, Vo;
draft-eastlake-fnv), then the finaliser of MurmurHash3 (Appleby 2011), since the last bytes of FNV-1a alone hardly reach the
upper bits. A place is the upper part of hash times 10,000: multiply and shift, without the bias of a remainder.
"""

from __future__ import annotations

from collections.abc import Sequence

PLACES = 10_000
"""Places on the line: a share is told in hundredths of a per cent."""

_OFFSET, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def hashed(salt: str, client_id: str) -> int:
    """A number from 0 to 2^32 - 1 that follows from both, and looks like any other."""
    found = _OFFSET
    for byte in b"\0".join((salt.encode(), client_id.encode())):
        found = (found ^ byte) * _PRIME & _MASK
    found ^= found >> 16
    found = found * 0x85EBCA6B & _MASK
    found ^= found >> 13
    found = found * 0xC2B2AE35 & _MASK
    return found ^ found >> 16


def place(salt: str, client_id: str) -> int:
    """A client's place, from 0 to 9,999."""
    return hashed(salt, client_id) * PLACES >> 32


def is_among(salt: str, client_id: str, share: int) -> bool:
    """Whether a client is among the first `share` places; who once is, is among more of them too."""
    return place(salt, client_id) < share


def arm(salt: str, client_id: str, weights: Sequence[int]) -> int:
    """Which of several arms a client is in, by the arms' weights, which sum to `PLACES`.

    Raises:
        ValueError: the weights are none, or below 0, or sum to something else.
    """
    if not weights or min(weights) < 0 or sum(weights) != PLACES:
        raise ValueError(f"weights: expected some from 0 that sum to {PLACES}, got {list(weights)}")
    at, upto = place(salt, client_id), 0
    for number, weight in enumerate(weights):
        upto += weight
        if at < upto:
            return number
    raise AssertionError("no place lies beyond the last one")
