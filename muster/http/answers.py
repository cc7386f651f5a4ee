"""What a server answered: whether it may be believed, may be better a moment later, or is an answer; and its body, bounded.

Nothing is ever decompressed: a few bytes could become more than there is room for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from muster.http.errors import Expired, Missing, Unreachable, Untrusted
from muster.wire.messages import ProblemDocument
from muster.wire.problems import MEDIA_TYPE

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What was answered, if it is a success or else acceptable."""

    status: int
    headers: httpx.Headers
    data: bytearray


class Passing(Exception):
    """A failure that may pass. Of an answer it has the status, and the seconds that its `Retry-After` asks for."""

    def __init__(self, text: str, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, response: httpx.Response) -> Passing:
        """The failure that an answer tells of."""
        return cls(f"HTTP {response.status_code}", response.status_code, _retry_after(response))

    @property
    def overloaded(self) -> bool:
        """Whether it asks for fewer requests."""
        return self.status in (429, 503)


class Sink:
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
        """Write the body as it is stored, whatever encoding its writer claimed, or as much of it as shows that it is longer
        than `limit`.
        """
        self._file.seek(0)
        self._file.truncate()
        self._hash, self.nbytes = hashlib.sha256(), 0
        for chunk in response.iter_bytes() if _is_plain(response) else response.iter_raw():
            piece = chunk[: limit + 1 - self.nbytes]
            self._file.write(piece)
            self._hash.update(piece)
            self.nbytes += len(piece)
            if self.nbytes > limit:
                break


KINDS = {400: Expired, 403: Expired, 404: Missing}
"""What S3's answers to a presigned URL mean: 403 when its time is up, 400 when the credentials that signed it have expired
before (Amazon S3: "Error responses", `AccessDenied` and `ExpiredToken`)."""


def may_pass(response: httpx.Response) -> bool:
    """Whether the same request may succeed a little later.

    A 409 that is no problem document is S3's: somebody else, or an earlier attempt of ours, is writing that key (Amazon S3:
    "How to prevent object overwrites with conditional writes").
    """
    status = response.status_code
    return status >= 500 or status in (408, 425, 429) or (status == 409 and not is_refusal(response))


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


def date_of(headers: httpx.Headers) -> datetime | None:
    """The server's time of day when it answered (`Date`, RFC 9110, section 6.6.1), or None when there is none with a zone."""
    try:
        said = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return said if said.tzinfo else None


def is_refusal(response: httpx.Response) -> bool:
    """Whether it is a problem document: the server said no, and why."""
    return str(response.headers.get("content-type", "")).startswith(MEDIA_TYPE)


def _is_plain(response: httpx.Response) -> bool:
    return str(response.headers.get("content-encoding", "identity")).lower() == "identity"


def check_plain(response: httpx.Response) -> None:
    """Leave unread a body that is compressed though nobody asked for that."""
    if not _is_plain(response):
        if may_pass(response):
            raise Passing.of(response)
        encoding = str(response.headers["content-encoding"])[:40]
        raise Untrusted(f"expected a body as it is, got one with the content encoding {encoding!r}")


def bounded(response: httpx.Response, limit: int) -> bytearray:
    """The body, or the first `limit` + 1 bytes of it: a caller that compares lengths sees that it was longer."""
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk[: limit + 1 - len(data)]
        if len(data) > limit:
            break
    return data


def parsed(answer: HttpAnswer, reply: type[Reply] | TypeAdapter[Reply], to: str) -> Reply:
    """The reply that an answer holds.

    Raises:
        Unreachable: it holds another thing.
    """
    adapter: TypeAdapter[Reply] = _adapter(reply)
    try:
        return adapter.validate_json(bytes(answer.data))
    except ValidationError as error:
        raise Unreachable(f"{to}: the answer is not what the protocol says", answer.status) from error


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(reply: Any) -> TypeAdapter[Any]:
    """The adapter of a reply; to make one takes longer than to read an answer with it, so each is made once."""
    if isinstance(reply, TypeAdapter):
        return reply
    if reply not in _adapters:
        _adapters[reply] = TypeAdapter(reply)
    return _adapters[reply]


def document_of(data: bytearray, status: int) -> ProblemDocument:
    """The document; its status is that of the answer, whatever it says itself."""
    try:
        return ProblemDocument.model_validate_json(bytes(data)).model_copy(update={"status": status})
    except ValidationError:
        return ProblemDocument(
            type="about:blank", title="A refusal that cannot be read", status=status, detail="not a problem document"
        )
