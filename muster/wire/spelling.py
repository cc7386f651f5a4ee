"""Which name was meant by one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def near(name: str, known: Collection[str]) -> str:
    """Which of the known names may have been meant; all of them, when none is like it; or that there are none."""
    alike = difflib.get_close_matches(name, list(known), n=3)
    if not known:
        return "expected none"
    return f"did you mean {' or '.join(map(repr, alike))}?" if alike else f"expected one of {', '.join(sorted(known))}"
