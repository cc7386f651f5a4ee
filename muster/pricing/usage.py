"""How much of what AWS bills was used, and what that costs (pure). Each unit has a name in `prices.PRICES`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from muster.pricing.prices import PRICES

Usage = Counter[str]
"""Amounts (they may be fractions) by the names of `PRICES`."""

GB = 1e9
"""Of transfer and storage, as AWS bills them, near enough: its GB is 7 % larger, so figures here are a little too high."""

MONTH_HOURS = 730
DAYS = MONTH_HOURS / 24
"""Of a month."""


def usage(**amounts: float) -> Usage:
    """A usage from keywords: `s3_put_requests=1`."""
    return added(amounts)


def added(*parts: Mapping[str, float]) -> Usage:
    """The sum of usages.

    Raises:
        KeyError: there is no price of one of the amounts.
    """
    total: Any = Counter()
    for part in parts:
        for name, amount in part.items():
            if name not in PRICES:
                raise KeyError(f"there is no price of {name!r}")
            total[name] += amount
    return Usage(total)


def times(used: Mapping[str, float], factor: float) -> Usage:
    """A usage so many times."""
    return added({name: amount * factor for name, amount in used.items()})


def bill(used: Mapping[str, float]) -> dict[str, float]:
    """Dollars by service, dearest first."""
    found: dict[str, float] = {}
    for name, amount in used.items():
        price = PRICES[name]
        found[price.service] = found.get(price.service, 0.0) + amount / price.per * price.dollars
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def dollars(used: Mapping[str, float]) -> float:
    """What a usage costs."""
    return sum(bill(used).values())
