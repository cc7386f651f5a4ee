"""W3C Trace Context as it comes in: which request belongs to which trace (W3C Recommendation "Trace Context", section 3.2).

    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01

Version, trace, span, flags, of which the last bit says that the span is recorded.
"""

from __future__ import annotations

import re
from typing import Final

LENGTH: Final = 55
"""Characters of a header of version 00."""

_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def parent_of(header: str | None) -> str | None:
    """The header, if it names a span that is recorded somewhere; None for whatever else came, which is nobody's business."""
    found = _FORM.fullmatch(header) if header is not None and len(header) == LENGTH else None
    if found is None or not int(found[1], 16) or not int(found[2], 16) or not int(found[3], 16) & 1:
        return None
    return found[0]


def trace_of(parent: str) -> str:
    """The id of the trace (32 hexadecimal digits) that such a header names."""
    return parent[3:35]
