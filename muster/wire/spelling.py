"""How it is said to people: which name was meant by one that nobody knows, and shares in per cent."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def near(name: str, known: Collection[str]) -> str:
    """Which of the known names may have been meant; all of them, when none is like it; or that there are none."""
    alike = difflib.get_close_matches(name, list(known), n=3)
    if not known:
        return "expected none"
    return f"did you mean {' or '.join(map(repr, alike))}?" if alike else f"expected one of {', '.join(sorted(known))}"


def percent_of(share: float) -> str:
    """A share in per cent, in two decimals at the most. What is not all is never rounded up to it, nor what is something down
    to nothing.
    """
    shown = f"{100 * share:.2f}".rstrip("0").rstrip(".")
    if shown == "100" and share < 1.0:
        return "99.99 %"
    return "0.01 %" if shown == "0" and share > 0.0 else f"{shown} %"
