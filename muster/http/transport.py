"""HTTP as it must be between strangers: every answer bounded and checked, every failure retried for a while.

Retried are failures of the network and of the server (5xx, 429), and a PUT that met another one under the same key (S3's 409),
with capped, jittered, exponential back-off that is no shorter than a `Retry-After`; every request of the protocol may be sent
twice. A refusal (a problem document) is an answer and is not retried. Neither bodies nor URLs are logged: a presigned URL is a
key.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

import httpx
from pydantic import BaseModel, TypeAdapter
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from muster import telemetry
from muster.http.addresses import check_address
from muster.http.answers import (
    KINDS,
    HttpAnswer,
    Passing,
    Reply,
    Sink,
    bounded,
    check_plain,
    document_of,
    is_refusal,
    may_pass,
    nothing_came,
    parsed,
)
from muster.http.errors import Overloaded, Refused, Unreachable, Untrusted
from muster.wire.messages import Checkpoint, UploadGrant

REPLY_LIMIT_BYTES = 1 << 20
"""No reply of the API is longer (1 MiB)."""

ATTEMPTS = 6
"""Of one request, while somebody waits for its answer."""
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 20.0
TIMEOUT_SECONDS = 30.0


class Transport:
    """One server. It keeps nothing of one request for the next, so several threads may share it.

    Raises:
        Insecure: the URL is `http://` to another machine, and `insecure_http` was not given.
    """

    def __init__(
        self,
        url: str,
        *,
        http: httpx.Client | None = None,
        auth: httpx.Auth | None = None,
        sleep: Callable[[float], None] | None = None,
        insecure_http: bool = False,
    ) -> None:
        check_address(url, insecure_http)
        self._url = url.rstrip("/")
        self.http = http or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._auth = auth
        self._sleep = sleep or self._pause
        self._insecure_http = insecure_http
        self.stop = threading.Event()
        """Once it is set nothing is tried again, and no wait goes on."""

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def call(
        self,
        method: str,
        path: str,
        reply: type[Reply] | TypeAdapter[Reply],
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request of the API and its reply.

        Raises:
            Refused: the server answered with a problem document.
            Unreachable: no usable answer, after every retry.
        """
        content = None if body is None else body.model_dump_json(exclude_none=True).encode()
        sent = {"Content-Type": "application/json", **telemetry.headers(), **(headers or {})}
        answer = self._exchange(method, self._url + path, sent, content, REPLY_LIMIT_BYTES, self._auth)
        return parsed(answer, reply, f"{method} {path}")

    def call_again(
        self, path: str, reply: type[Reply], known: tuple[str, Reply] | None, headers: Mapping[str, str]
    ) -> tuple[str, Reply]:
        """The tag and the reply of a GET; those that are known, when the server says that they still hold.

        Raises:
            Refused: the server answered with a problem document.
            Unreachable: no usable answer, after every retry.
        """
        sent = {**telemetry.headers(), **headers, **({"If-None-Match": known[0]} if known else {})}
        answer = self._exchange("GET", self._url + path, sent, None, REPLY_LIMIT_BYTES, self._auth, accept=(304,))
        if known and answer.status == 304:
            return known
        return answer.headers.get("etag", ""), parsed(answer, reply, f"GET {path.partition('?')[0]}")

    def download(self, checkpoint: Checkpoint) -> bytes:
        """The bytes of a checkpoint, of exactly the announced length and digest.

        Raises:
            Untrusted: they are not; nothing of them is returned.
            Unreachable: no usable answer, after every retry.
        """
        data = self._exchange("GET", checkpoint.url, {}, None, checkpoint.bytes).data
        found = hashlib.sha256(data).hexdigest()
        if len(data) != checkpoint.bytes or found != checkpoint.sha256:
            raise Untrusted(
                f"version {checkpoint.version}: expected {checkpoint.bytes} bytes with sha256 {checkpoint.sha256}, "
                f"got {len(data)} bytes with sha256 {found}"
            )
        return bytes(data)

    def fetch(self, url: str, nbytes: int) -> bytes:
        """The bytes of an object under a presigned URL, of exactly this length; what they are is for the caller to see.

        Raises:
            Untrusted: there are more or fewer.
            Unreachable: no usable answer, after every retry.
        """
        data = self._exchange("GET", url, {}, None, nbytes).data
        if len(data) != nbytes:
            raise Untrusted(f"expected {nbytes} bytes, got {'more' if len(data) > nbytes else len(data)}")
        return bytes(data)

    def read(self, url: str, sha256: str) -> bytes:
        """A small object under a presigned URL, of exactly this digest.

        Raises:
            Untrusted: it has another; nothing of it is returned.
            Unreachable: no usable answer, after every retry.
        """
        data = self._exchange("GET", url, {}, None, REPLY_LIMIT_BYTES).data
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise Untrusted(f"expected a document with sha256 {sha256}, got one with sha256 {found}")
        return bytes(data)

    def save(self, url: str, sha256: str, limit: int, file: IO[bytes]) -> None:
        """Write an object under a presigned URL, of exactly this digest and of at most `limit` bytes, into a fresh file.

        Raises:
            Untrusted: it is longer, or has another digest; what is in the file then is of no use.
            Missing: there is no such object.
            Unreachable: no usable answer, after every retry.
        """
        sink = Sink(file)
        self._exchange("GET", url, {}, None, limit, into=sink)
        if sink.sha256 != sha256:
            raise Untrusted(f"expected at most {limit} bytes with sha256 {sha256}, got {sink.nbytes} with sha256 {sink.sha256}")

    def upload(self, grant: UploadGrant, data: bytes) -> None:
        """Put the bytes under a grant. That they lie there already (412: an earlier try succeeded) is success.

        Raises:
            Expired: the URL is no longer good.
            Unreachable: the store did not take them, after every retry.
        """
        self._exchange(grant.method, grant.url, grant.headers, data, REPLY_LIMIT_BYTES, accept=(412,))

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        limit: int,
        auth: httpx.Auth | None = None,
        accept: tuple[int, ...] = (),
        into: Sink | None = None,
    ) -> HttpAnswer:
        check_address(url, self._insecure_http)
        headers = {"Accept-Encoding": "identity", **headers}
        retrying = Retrying(
            retry=retry_if_exception(lambda failure: isinstance(failure, Passing) and self._tries_again(failure)),
            stop=stop_any(stop_after_attempt(self._attempts()), stop_when_event_set(self.stop)),
            wait=_wait_seconds,
            sleep=self._sleep,
            before_sleep=lambda _: telemetry.count("retries", to="api" if self._is_api(url) else "store"),
            reraise=True,
        )
        try:
            return retrying(self._once, method, url, headers, content, limit, auth, accept, into)
        except Passing as failure:
            self._came_to(answered=False)
            text = f"{method} to {httpx.URL(url).host}: {failure}"
            told: dict[str, Any] = {"request_id": failure.request_id, "document": failure.document}
            if failure.status is not None and failure.overloaded:
                raise Overloaded(text, failure.status, failure.retry_after_seconds, **told) from failure
            raise Unreachable(text, failure.status, **told) from failure

    def _is_api(self, url: str) -> bool:
        """Whether a URL is the server's own, and not of the store."""
        return url.startswith(f"{self._url}/")

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)

    # ---- how patient it is: here as somebody who waits for the answer

    def _attempts(self) -> int:
        """How often the next request is tried."""
        return ATTEMPTS

    def _tries_again(self, failure: Passing) -> bool:
        """Whether a request that failed so is tried again."""
        return True

    def _came_to(self, *, answered: bool) -> None:
        """A request got an answer, be it a refusal, or failed for good."""

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        limit: int,
        auth: httpx.Auth | None,
        accept: tuple[int, ...],
        into: Sink | None,
    ) -> HttpAnswer:
        try:
            with self.http.stream(method, url, headers=headers, content=content, auth=auth) as response:
                if into is not None and response.is_success:
                    into.fill(response, limit)
                    self._came_to(answered=True)
                    return HttpAnswer(response.status_code, response.headers, bytearray())
                check_plain(response)
                data = bounded(response, limit if into is None else REPLY_LIMIT_BYTES)
        except httpx.TransportError as error:
            raise Passing(nothing_came(error)) from error
        if response.is_success or response.status_code in accept:
            self._came_to(answered=True)
            return HttpAnswer(response.status_code, response.headers, data)
        if may_pass(response):
            raise Passing.of(response, data)
        self._came_to(answered=True)
        if is_refusal(response):
            raise Refused(document_of(data, response.status_code))
        kind = Unreachable if self._is_api(url) else KINDS.get(response.status_code, Unreachable)
        raise kind(f"{method} to {response.url.host}: HTTP {response.status_code}", response.status_code)


_BACK_OFF = wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS)


def _wait_seconds(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.retry_after_seconds if isinstance(failure, Passing) else None
    return max(_BACK_OFF(state), min(asked or 0.0, LONGEST_WAIT_SECONDS))
