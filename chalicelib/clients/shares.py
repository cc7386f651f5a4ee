"""An exact bound without a hot row (pure): an amount is divided into shares, and each is counted in a row of its own.

    1,000 uses = 250 + 250 + 250 + 250        a row each, in a partition of its own; none is taken beyond what it holds

What the shares hold at most sums to the amount, so as long as no row counts more than its share, all of them together count no
more than the amount. Who finds its share taken looks for another one that has room; who finds none has seen all of them full.

A row may count more than its share after all: the amount was lowered. Then there may be room in one share and too many in
another, and a place must not be given away. `transfers` says what to move from rows with too many to rows with room. When
nothing is left to be moved, no row has too many, or none has room, and both are safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

MOST_SHARES = 64
"""A row takes some 50 to 100 transactions a second before they are too often in each other's way, and a partition 500."""

SHARE = 256
"""What a share holds, about, until there are as many as there may be."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """So much that is counted in one share is to be counted in another."""

    source: int
    target: int
    amount: int


def shares_of(amount: int) -> int:
    """Into how many shares an amount is divided: one or more, and none of them empty."""
    return min(MOST_SHARES, max(1, amount // SHARE))


def share(amount: int, shares: int, number: int) -> int:
    """What the share of this number holds, of an amount that is divided into so many; nothing beyond the last.

    The shares add up to the amount; they differ by 1 at the most.
    """
    return 0 if number >= shares else amount // shares + (number < amount % shares)


def home(client_id: str, shares: int) -> int:
    """The share that a client looks at first, from a hash of its id."""
    return int(sha256(client_id.encode()).hexdigest()[8:16], 16) % shares


def with_room(taken: Sequence[int], most: Sequence[int], client_id: str) -> int | None:
    """A share in which something is left, for this client, or None. Clients that see the same choose differently."""
    found = [number for number, (count, limit) in enumerate(zip(taken, most, strict=True)) if count < limit]
    return found[home(f"{client_id} {sum(taken)}", len(found))] if found else None


def fullest(taken: Sequence[int], most: Sequence[int]) -> int | None:
    """The share that gives one back: that which has the most beyond what it holds. None when nothing is taken."""
    found = [(count - limit, -number) for number, (count, limit) in enumerate(zip(taken, most, strict=True)) if count]
    return -max(found)[1] if found else None


def transfers(taken: Sequence[int], most: Sequence[int]) -> list[Transfer]:
    """What to move so that no share has room while another has too many."""
    excess = {number: count - limit for number, (count, limit) in enumerate(zip(taken, most, strict=True))}
    found: list[Transfer] = []
    for target, room in [(number, -over) for number, over in excess.items() if over < 0]:
        left = room
        for source, over in excess.items():
            if over > 0 and left > 0:
                amount = min(over, left)
                excess[source] -= amount
                left -= amount
                found.append(Transfer(source, target, amount))
    return found
