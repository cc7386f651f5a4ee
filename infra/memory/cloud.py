"""The cloud in this process: the server's functions, and what calls them.

    cloud = MemoryCloud()
    operator = Operator(API, http=cloud.http())
    cloud.tick()                  # EventBridge
    cloud.deliver()               # SQS
    cloud.clock.advance(60)

Nothing moves unless its holder says so. There is one at a time in a process: it stands where botocore's clients make calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

import httpx
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from chalice.local import LambdaContext

import app as functions
from chalicelib import wiring
from chalicelib.settings import Settings
from infra.local import gateway, resources
from infra.memory.calls import Call, Calls, Killed
from infra.memory.s3 import presigned
from infra.memory.session import SESSION, UNSEEN, client_of
from infra.memory.stores import Stores

API = "https://api.test"
"""Where the API is, for clients that `MemoryCloud.http` makes."""

SCHEDULED: Mapping[str, Any] = {
    "source": "aws.events", "version": "0", "account": "", "region": "", "detail": {}, "detail-type": "", "time": "", "id": "",
    "resources": [],
}  # fmt: skip
"""What EventBridge sends."""


class ManualClock:
    """Time that passes only when somebody says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time, in UTC."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class StillPlatform:
    """Functions that take no time, but what their cloud's clock says."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def stopwatch(self) -> float:
        """Seconds."""
        return self._clock().timestamp()

    def memory_mb(self, context: Any) -> int:
        """What Chalice's context says."""
        return int(context.memory_limit_in_mb)

    def traces(self) -> float:
        """None."""
        return 0.0


class Backend(Protocol):
    """What stands for AWS."""

    def in_place_of_aws(self) -> AbstractContextManager[object]:
        """Inside the block, the calls of all clients come here."""
        ...

    def answer(self, client: Any, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Answer a call of a client."""
        ...


class MemoryCloud:
    """The server's functions, the services that they call, and the time."""

    def __init__(self, *, backend: Backend | None = None, **settings: Any) -> None:
        """Empty services; `settings` are those of `Settings` that shall not be as deployed."""
        self.clock = ManualClock()
        self.calls = Calls()
        self.downloaded_bytes = 0
        """What devices and operators have read from the store."""
        self.replied_bytes = 0
        """The length of the last reply."""
        self._dice = Random(0)  # noqa: S311 (dice)
        self._backend = backend or Stores()
        self._aws = ExitStack()
        self._aws.enter_context(self._backend.in_place_of_aws())
        self._original = BaseClient._make_api_call  # type: ignore[attr-defined]
        environment = {**resources.create(client_of), "AWS_DEFAULT_REGION": "us-east-1", "MUSTER_TICK_SECONDS": "60"}
        made = Settings.from_environment(environment)
        one_thread = {"part_connections": 0}  # `calls` sees every call in the thread of the function that makes it
        self.settings = Settings(**({name: getattr(made, name) for name in made.__slots__} | one_thread | settings))
        self.restart()
        self.s3, self.sqs = SESSION.client("s3", config=UNSEEN), SESSION.client("sqs", config=UNSEEN)
        self._intercept()

    def close(self) -> None:
        """Let botocore's clients call AWS again."""
        BaseClient._make_api_call = self._original  # type: ignore[attr-defined]
        wiring.replace(None)
        self._aws.close()

    def restart(self) -> None:
        """Every function instance dies, and others begin."""
        self.services = wiring.Services(
            settings=self.settings,
            clock=self.clock,
            session=SESSION,
            draw_secret=lambda: "the same in each run",
            draw=self.draw,
            platform=StillPlatform(self.clock),
        )
        wiring.replace(self.services)

    def draw(self) -> float:
        """What the server draws when it spreads devices: the same in each run."""
        return self._dice.random()

    # ---- what AWS does

    def tick(self) -> None:
        """The schedule that lets rounds move."""
        with self.calls.by("tick"):
            functions.tick(SCHEDULED, LambdaContext("tick", 1024))

    def monitor(self) -> None:
        """The schedule that looks after all models."""
        with self.calls.by("monitor"):
            functions.monitor(SCHEDULED, LambdaContext("monitor", 1024))

    def deliver(self) -> int:
        """Hand all queued messages to the workers, until both queues are empty; how many were handed out."""
        handlers = {
            self.settings.inspection_queue_url: ("inspection_worker", functions.inspection_worker),
            self.settings.work_queue_url: ("aggregation_worker", functions.aggregation_worker),
        }
        handed = 0
        while True:
            before = handed
            for url, (name, handler) in handlers.items():
                handed += self._deliver(url, name, handler)
            if handed == before:
                return handed

    def _deliver(self, url: str, name: str, handler: Callable[..., Any]) -> int:
        received = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        if not received:
            return 0
        records = [{"messageId": m["MessageId"], "receiptHandle": m["ReceiptHandle"], "body": m["Body"]} for m in received]
        try:
            with self.calls.by(name):
                answer = handler({"Records": records}, LambdaContext("worker", 1024))
        except Killed:
            for message in received:
                self.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
            raise
        if answer != {"batchItemFailures": []}:
            raise RuntimeError(f"{name} failed with {answer}: its messages would come again, and nobody waits for them here")
        for message in received:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(received)

    # ---- HTTP

    def http(self) -> httpx.Client:
        """An HTTP client whose requests stay in this process."""
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def serve(self, request: httpx.Request) -> httpx.Response:
        """Answer a request to the API."""
        if self.calls.observer:
            self.calls.observer.served.append((request.method, request.url.path))
        with self.calls.by("api"):
            found = gateway.answer(request.method, request.url.raw_path.decode(), request.headers, request.read())
            self.replied_bytes = len(found.content)
        return httpx.Response(found.status, headers=found.headers, content=found.content)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return self.serve(request) if f"https://{request.url.host}" == API else self._store(request)

    def _store(self, request: httpx.Request) -> httpx.Response:
        """S3, for a presigned URL. The signature itself is not looked at."""

        def make(operation: str, arguments: dict[str, Any]) -> Any:
            signed = Call(function="api", service="s3", operation=operation, arguments=arguments, by_device=True)
            return self.calls.observed(signed, lambda: self._backend.answer(self.s3, operation, arguments))

        try:
            found = presigned.answer(make, request.method, str(request.url), request.headers, request.read())
        except ClientError as error:
            return httpx.Response(error.response["ResponseMetadata"]["HTTPStatusCode"])
        self.downloaded_bytes += len(found.content)
        return httpx.Response(found.status, headers=found.headers, stream=httpx.ByteStream(found.content))

    def _intercept(self) -> None:
        original, calls, ours = self._original, self.calls, (self.s3, self.sqs)

        def make_api_call(client: Any, operation: str, arguments: Any) -> Any:
            def proceed() -> Any:
                return original(client, operation, arguments)

            service = client.meta.service_model.service_name
            if service == "sqs" and isinstance(self._backend, Stores):
                self._backend.sqs.time = self.clock().timestamp()  # messages that wait do so in the time of this cloud
            return proceed() if client in ours else calls.passing(service, operation, arguments, proceed)

        BaseClient._make_api_call = make_api_call  # type: ignore[attr-defined]
