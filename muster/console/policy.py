"""What a browser may do with what the console sends: the headers of every answer (pure).

The library draws in the browser, and compiles what it draws there: that needs `unsafe-eval`. It sets styles: `unsafe-inline`,
for styles only. Its page holds scripts of its own; each is named by its hash. How many those are is known from the library's
empty page: a page that holds one more runs none.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html.parser import HTMLParser

COMMON = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer."""

BARE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of whatever is no page."""


class _Inline(HTMLParser):
    """Collects the scripts that a page holds itself."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self._inside = all(name != "src" for name, _ in attrs)
            if self._inside:
                self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


def inline_scripts(html: str) -> list[str]:
    """The scripts that a page holds itself, in order."""
    reader = _Inline()
    reader.feed(html)
    reader.close()
    return reader.found


def page_policy(html: str, *, scripts: int, address: str) -> str:
    """The policy of one page of a console at `address`, in which the library has so many scripts of its own."""
    found = inline_scripts(html)
    hashes = [f"'sha256-{_digest(script)}'" for script in found] if len(found) == scripts else []
    return _joined(
        [
            "default-src 'none'",
            " ".join(["script-src 'self' 'unsafe-eval'", *hashes]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src 'self' ws://{address}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _joined(parts: Sequence[str]) -> str:
    return "; ".join(parts)
