"""What all services here share: how a call finds its method, and how it is refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

ACCOUNT = "123456789012"
REGION = "us-east-1"

Request = dict[str, Any]
Answer = dict[str, Any]


def utc_now() -> datetime:
    """The time, for stores that are given no other clock."""
    return datetime.now(UTC)


class ServiceError(Exception):
    """What a service answers instead of doing what was asked: an error's code, its message, its HTTP status and its members.

    `known_as` is the error's name in the service's model, where the code is another word.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        *,
        members: Mapping[str, Any] | None = None,
        known_as: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}
        self.known_as = known_as or code


class Service:
    """One service. A call is a method of the same name, takes a request that botocore found valid, and returns the answer.

    `CALLS` names the parameters that each call knows. Another call, or another parameter, is an error of the test, never a gap
    in silence.
    """

    CALLS: ClassVar[Mapping[str, str]]

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: all but who is in it."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    def answer(self, operation: str, request: Request) -> Answer:
        """Do what is asked; calls are answered one by one.

        Raises:
            ServiceError: as AWS would refuse it.
            NotImplementedError: AWS might do it; this store cannot.
        """
        if operation not in self.CALLS:
            raise NotImplementedError(f"{operation} is not a call that the store in this process answers")
        only(operation, request, self.CALLS[operation])
        method: Callable[[Request], Answer] = getattr(self, _method(operation))
        with self._lock:
            return method(request)


def only(what: str, given: Mapping[str, Any], known: str) -> None:
    """Refuse to pass over a parameter."""
    if unknown := given.keys() - _names(known):
        raise NotImplementedError(f"{what} with {', '.join(sorted(unknown))} is not answered by the store in this process")


@cache
def _names(known: str) -> frozenset[str]:
    return frozenset(known.split())


@cache
def _method(operation: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
