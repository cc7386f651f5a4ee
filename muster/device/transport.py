"""HTTP as a device needs it: every answer bounded and checked, every failure retried for a while.

Retried are failures of the network and of the server (5xx, 429), and a PUT that met another one under the same key (S3's 409),
with capped, jittered, exponential back-off that is no shorter than a `Retry-After`; every request of the protocol may be sent
twice. A refusal (a problem document) is an answer and is not retried. Nothing is ever decompressed: a few bytes could become
more than the device has. Neither bodies nor URLs are logged: a presigned URL is a key.

A person waits for an answer; a device has time. The transport of a device (`patient=False`) does not try again what met 429 or
503, and after a request that failed for good it tries each next one once, until one is answered: when to come again is then for
its loop to say (`muster.device.loop`), and retries never multiply the load of a server in trouble.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import IO, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from muster.device.addresses import check_address
from muster.device.errors import Expired, Missing, Overloaded, Refused, Unreachable, Untrusted
from muster.wire.messages import Checkpoint, ProblemDocument, UploadGrant
from muster.wire.problems import MEDIA_TYPE

Reply = TypeVar("Reply")

REPLY_LIMIT_BYTES = 1 << 20
"""No reply of the API is longer (1 MiB)."""

ATTEMPTS = 6
"""Of one request, while somebody waits for its answer."""
DEVICE_ATTEMPTS = 3
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 20.0
TIMEOUT_SECONDS = 30.0


class Transport:
    """One server, as one caller sees it. May be shared by nobody: one a device.

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
        patient: bool = True,
        insecure_http: bool = False,
    ) -> None:
        check_address(url, insecure_http)
        self._url = url.rstrip("/")
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._auth = auth
        self._sleep = sleep or self._pause
        self.patient = patient
        """Whether somebody waits for the answers: then 429 and 503 are tried again here too."""
        self._insecure_http = insecure_http
        self._answered = True
        """Whether the last request got an answer in the end."""
        self.stop = threading.Event()
        """Once it is set nothing is tried again, and no wait goes on."""

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

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
        sent = {"Content-Type": "application/json", **(headers or {})}
        answer = self._exchange(method, self._url + path, sent, content, REPLY_LIMIT_BYTES, self._auth)
        return _parsed(answer, reply, f"{method} {path}")

    def call_again(
        self, path: str, reply: type[Reply], known: tuple[str, Reply] | None, headers: Mapping[str, str]
    ) -> tuple[str, Reply]:
        """The tag and the reply of a GET; those that are known, when the server says that they still hold.

        Raises:
            Refused: the server answered with a problem document.
            Unreachable: no usable answer, after every retry.
        """
        sent = {**headers, **({"If-None-Match": known[0]} if known else {})}
        answer = self._exchange("GET", self._url + path, sent, None, REPLY_LIMIT_BYTES, self._auth, accept=(304,))
        if known and answer.status == 304:
            return known
        return answer.headers.get("etag", ""), _parsed(answer, reply, f"GET {path.partition('?')[0]}")

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
        sink = _Sink(file)
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
        into: _Sink | None = None,
    ) -> _Answer:
        check_address(url, self._insecure_http)
        headers = {"Accept-Encoding": "identity", **headers}
        attempts = ATTEMPTS if self.patient else DEVICE_ATTEMPTS if self._answered else 1
        retrying = Retrying(
            retry=retry_if_exception(self._is_tried_again),
            stop=stop_any(stop_after_attempt(attempts), stop_when_event_set(self.stop)),
            wait=_wait_seconds,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, url, headers, content, limit, auth, accept, into)
        except _Passing as failure:
            self._answered = False
            text = f"{method} to {httpx.URL(url).host}: {failure}"
            if failure.overloaded:
                raise Overloaded(text, failure.retry_after_seconds) from failure
            raise Unreachable(text) from failure

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)

    def _is_tried_again(self, failure: BaseException) -> bool:
        return isinstance(failure, _Passing) and (self.patient or not failure.overloaded)

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        limit: int,
        auth: httpx.Auth | None,
        accept: tuple[int, ...],
        into: _Sink | None,
    ) -> _Answer:
        try:
            with self._http.stream(method, url, headers=headers, content=content, auth=auth) as response:
                _check_plain(response)
                if into is not None and response.is_success:
                    into.fill(response, limit)
                    return _Answer(response.status_code, response.headers, bytearray())
                data = _bounded(response, limit if into is None else REPLY_LIMIT_BYTES)
        except httpx.TransportError as error:
            raise _Passing(type(error).__name__) from error
        if response.is_success or response.status_code in accept:
            self._answered = True
            return _Answer(response.status_code, response.headers, data)
        if _may_pass(response):
            raise _Passing.of(response)
        self._answered = True
        if _is_refusal(response):
            raise Refused(_document(data, response.status_code))
        kind = _KINDS.get(response.status_code, Unreachable)
        raise kind(f"{method} to {response.url.host}: HTTP {response.status_code}")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was answered, if it is a success or else acceptable."""

    status: int
    headers: httpx.Headers
    data: bytearray


class _Passing(Exception):
    """A failure that may pass."""

    overloaded = False
    """Whether it asks for fewer requests."""
    retry_after_seconds: float | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> _Passing:
        failure = cls(f"HTTP {response.status_code}")
        failure.overloaded = response.status_code in (429, 503)
        failure.retry_after_seconds = _retry_after(response)
        return failure


class _Sink:
    """A file into which a body is written and hashed; from its beginning, when it is tried again."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.nbytes = 0

    @property
    def sha256(self) -> str:
        """Digest (hex) of what was written."""
        return self._hash.hexdigest()

    def fill(self, response: httpx.Response, limit: int) -> None:
        """Write the body, or as much of it as shows that it is longer than `limit`."""
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.nbytes = hashlib.sha256(), 0
        for chunk in response.iter_bytes():
            piece = chunk[: limit + 1 - self.nbytes]
            self._file.write(piece)
            self._hash.update(piece)
            self.nbytes += len(piece)
            if self.nbytes > limit:
                break


_KINDS = {400: Expired, 403: Expired, 404: Missing}
"""What S3's answers to a presigned URL mean: 403 when its time is up, 400 when the credentials that signed it have expired
before (Amazon S3: "Error responses", `AccessDenied` and `ExpiredToken`)."""


def _may_pass(response: httpx.Response) -> bool:
    """Whether the same request may succeed a little later.

    A 409 that is no problem document is S3's: somebody else, or an earlier attempt of ours, is writing that key (Amazon S3:
    "How to prevent object overwrites with conditional writes").
    """
    status = response.status_code
    return status >= 500 or status in (408, 425, 429) or (status == 409 and not _is_refusal(response))


_BACK_OFF = wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS)


def _wait_seconds(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.retry_after_seconds if isinstance(failure, _Passing) else None
    return max(_BACK_OFF(state), min(asked or 0.0, LONGEST_WAIT_SECONDS))


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds that a `Retry-After` asks for (RFC 9110, section 10.2.3), or None when it asks for none that can be read.

    A date is measured by the answer's own `Date`: this machine's clock may be wrong.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        wanted, said = (parsedate_to_datetime(word) for word in (text, response.headers.get("date", "")))
        return max(0.0, (wanted - said).total_seconds())
    except (ValueError, TypeError):
        return None


def _is_refusal(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith(MEDIA_TYPE)


def _check_plain(response: httpx.Response) -> None:
    """Leave unread a body that is compressed though nobody asked for that."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        if _may_pass(response):
            raise _Passing.of(response)
        raise Untrusted(f"expected a body as it is, got one with the content encoding {encoding[:40]!r}")


def _bounded(response: httpx.Response, limit: int) -> bytearray:
    """The body, or the first `limit` + 1 bytes of it: a caller that compares lengths sees that it was longer."""
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk[: limit + 1 - len(data)]
        if len(data) > limit:
            break
    return data


def _parsed(answer: _Answer, reply: type[Reply] | TypeAdapter[Reply], to: str) -> Reply:
    adapter = reply if isinstance(reply, TypeAdapter) else TypeAdapter(reply)
    try:
        return adapter.validate_json(bytes(answer.data))
    except ValidationError as error:
        raise Unreachable(f"{to}: the answer is not what the protocol says") from error


def _document(data: bytearray, status: int) -> ProblemDocument:
    """The document; its status is that of the answer, whatever it says itself."""
    try:
        return ProblemDocument.model_validate_json(bytes(data)).model_copy(update={"status": status})
    except ValidationError:
        return ProblemDocument(
            type="about:blank", title="A refusal that cannot be read", status=status, detail="not a problem document"
        )
