"""HTTP for a device: one request at a time, every answer bounded, a failure tried again twice, and an overload not at all.

`http.client` suits the protocol as it is: it follows no redirect, adds no `Content-Type`, and asks for no compression.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ATTEMPTS = 3
TIMEOUT_SECONDS = 30.0
REPLY_LIMIT_BYTES = 1 << 20
PROBLEM = "urn:muster:problem:"


class Refused(Exception):
    """The server said no: `word` is the end of the problem's type, or what the status is."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(f"{document.get('title')}: {document.get('detail')} (got {document.get('got')})")
        self.word = str(document.get("type", "")).removeprefix(PROBLEM)


class Unreachable(Exception):
    """No usable answer. `status` is that of the last one, 0 if there was none."""

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


class Overloaded(Unreachable):
    """429 or 503: leave the server alone for at least `seconds`, and longer if you can."""

    def __init__(self, status: int, seconds: float) -> None:
        super().__init__(f"HTTP {status}", status)
        self.seconds = seconds


@dataclass(frozen=True)
class Answer:
    """What came back: at most one byte more than was allowed, so that who compares lengths sees that it was too long."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Web:
    """Requests, each in a connection of its own."""

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit: int = REPLY_LIMIT_BYTES,
        also: Collection[int] = (),
    ) -> Answer:
        """An answer of status 2xx, or of one of `also`.

        Raises:
            Refused: a problem document.
            Overloaded: 429 or 503.
            Unreachable: none of these, after every attempt.
        """
        last = Unreachable("no attempt was made")
        for attempt in range(ATTEMPTS):
            try:
                answer = self.once(method, url, headers, body, limit)
            except (OSError, http.client.HTTPException) as error:
                last = Unreachable(f"{method}: {type(error).__name__}")
            else:
                if 200 <= answer.status < 300 or answer.status in also:
                    return answer
                if answer.status in (429, 503):
                    raise Overloaded(answer.status, _retry_after(answer))
                last = Unreachable(f"{method}: HTTP {answer.status}", answer.status)
                if not _may_pass(answer):
                    raise _refusal(answer) or last
            if attempt + 1 < ATTEMPTS:
                self.pause(random.uniform(0, min(20.0, 0.25 * 2**attempt)))
        raise last

    def once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
        """One request and its answer, whatever it is. The body is read as far as `limit` and one byte."""
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, dict(headers))
            response = connection.getresponse()
            if response.getheader("Content-Encoding", "identity").lower() != "identity":
                # Never inflated: a few bytes could become more than this device has. Its status still counts.
                return Answer(response.status if response.status >= 400 else 599, response.headers, b"")
            data = response.read(limit + 1)
            if len(data) <= limit and response.length:
                raise http.client.IncompleteRead(data, response.length)
            return Answer(response.status, response.headers, data)
        finally:
            connection.close()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def _may_pass(answer: Answer) -> bool:
    """Whether the same request may succeed a little later. A 409 of the store is no problem document: a PUT met another."""
    return answer.status >= 500 or answer.status in (408, 425) or (answer.status == 409 and not _is_problem(answer))


def _is_problem(answer: Answer) -> bool:
    return str(answer.headers.get("Content-Type", "")).startswith("application/problem+json")


def _refusal(answer: Answer) -> Refused | None:
    if not _is_problem(answer):
        return None
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = {}
    return Refused(document if isinstance(document, dict) else {})


def _retry_after(answer: Answer) -> float:
    """What the server asks for, in seconds; a date is left aside."""
    said = str(answer.headers.get("Retry-After", ""))
    return min(float(said), 3600.0) if said.isascii() and said.isdigit() else 0.0
