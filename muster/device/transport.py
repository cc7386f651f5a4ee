"""HTTP with the patience of a device: a person waits for an answer, a device has time.

It does not try again what met 429 or 503, and after a request that failed for good it tries each next one once, until one is
answered. When to come again is then for its loop to say (`muster.device.loop`), and retries never multiply the load of a server
in trouble.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from muster.http.answers import HttpAnswer, Passing, date_of
from muster.http.transport import Transport

ATTEMPTS = 3
"""Of one request, when the one before was answered."""


class DeviceTransport(Transport):
    """One server, as one device sees it: for one thread, because what came of a request says how the next one is tried."""

    def __init__(self, url: str, **how: Any) -> None:
        super().__init__(url, **how)
        self._answered = True
        self.said_date: datetime | None = None
        """The `Date` of the last answer, in UTC, if it had one."""

    def _exchange(self, *what: Any, **how: Any) -> HttpAnswer:
        answer = super()._exchange(*what, **how)
        self.said_date = date_of(answer.headers)
        return answer

    def _attempts(self) -> int:
        return ATTEMPTS if self._answered else 1

    def _tries_again(self, failure: Passing) -> bool:
        return not failure.overloaded

    def _came_to(self, *, answered: bool) -> None:
        self._answered = answered
