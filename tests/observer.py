"""What the functions ask of AWS, call by call: who asked, for what, and how many bytes went where.

A function is known by the handler that runs. A presigned URL is used by a device, with the permissions of the function that
signed it; its call is that function's, though the function does not run. Other calls of a test are nobody's, and not observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
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
            Call(call.function, call.service, call.operation, arguments, call.by_device, status, sent_bytes, received_bytes)
        )
