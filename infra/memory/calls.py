"""Every call to AWS on its way: counted, observed, or kept from happening.

A function is known by the handler that runs. A presigned URL is used by a device, with the permissions of the function that
signed it; its call is that function's, though the function does not run. Other calls are nobody's, and not observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to AWS."""

    function: str
    service: str
    """As boto3 names it: `dynamodb`, `s3`, `sqs`, `sns`, `cloudwatch`."""
    operation: str
    """As the API names it: `PutItem`."""
    arguments: Mapping[str, Any]
    by_device: bool = False
    """Whether a device made it, by a URL that the function had signed."""
    status: int = 200
    sent_bytes: int = 0
    received_bytes: int = 0
    """Of an object's content; what else travels is small."""


@dataclass
class Observer:
    """Keeps every call."""

    calls: list[Call] = field(default_factory=list)
    served: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request to the API."""

    @contextmanager
    def invocation(self, function: str) -> Iterator[None]:
        """The time in which a function's code runs."""
        yield

    def call(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """Let a call proceed, and keep it with what came of it."""
        body = call.arguments.get("Body")
        sent = len(body) if isinstance(body, (bytes, bytearray)) else 0
        try:
            answer = proceed()
        except ClientError as error:
            self._keep(call, int(error.response["ResponseMetadata"]["HTTPStatusCode"]), sent, 0)
            raise
        received = answer["ContentLength"] if call.operation == "GetObject" else 0
        self._keep(call, 200, sent, received)
        return answer

    def _keep(self, call: Call, status: int, sent_bytes: int, received_bytes: int) -> None:
        arguments = {name: value for name, value in call.arguments.items() if name != "Body"}
        self.calls.append(
            replace(call, arguments=arguments, status=status, sent_bytes=sent_bytes, received_bytes=received_bytes)
        )


class Killed(BaseException):
    """The function's process is gone: no handler in it may run any more."""


@dataclass
class Calls:
    """Every call to AWS passes here. `between` may look, count, kill, or call `proceed` as often as it likes."""

    between: Callable[[str, Callable[[], Any]], Any] | None = None
    returning: Callable[[], None] | None = None
    """Called when a function has done all it does, and is about to return."""
    seen: list[str] = field(default_factory=list)
    observer: Observer | None = None
    function: str | None = None
    """Whose code runs now."""

    @contextmanager
    def by(self, function: str) -> Iterator[None]:
        """A function's code runs inside the block."""
        was, self.function = self.function, function
        try:
            with self.observer.invocation(function) if self.observer else nullcontext():
                yield
                if self.returning:
                    self.returning()
        finally:
            self.function = was

    def observed(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """Make a call before the eyes of the observer, if there is one."""
        return self.observer.call(call, proceed) if self.observer else proceed()

    def passing(self, service: str, operation: str, arguments: Mapping[str, Any], proceed: Callable[[], Any]) -> Any:
        """Let a call of a function pass, or of nobody."""
        self.seen.append(operation)

        def met() -> Any:
            return self.between(operation, proceed) if self.between else proceed()

        if self.function is None:
            return met()
        return self.observed(Call(function=self.function, service=service, operation=operation, arguments=dict(arguments)), met)

    @contextmanager
    def count(self) -> Iterator[list[str]]:
        """The operations called inside the block."""
        start = len(self.seen)
        found: list[str] = []
        yield found
        found += self.seen[start:]
