"""What a server answered: whether it may be believed, may be better a moment later, or is an answer; and its body, bounded.

Nothing is ever decompressed: a few bytes could become more than there is room for.
"""

from __future__ import annotations

import hashlib
import re
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
    """A failure that may pass. Of an answer it has the status, what it says of itself, and the seconds that its `Retry-After`
    asks for.
    """

    def __init__(
        self,
        text: str,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        *,
        request_id: str | None = None,
        document: ProblemDocument | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        self.document = document

    @classmethod
    def of(cls, response: httpx.Response, data: bytearray | None = None) -> Passing:
        """The failure that an answer tells of; `data` is its body, as far as it was read."""
        document = document_of(data, response.status_code) if data is not None and is_refusal(response) else None
        text, named = f"HTTP {response.status_code}", request_id(response.headers)
        if document is not None:
            text += f" ({_line(document.detail)})"
        if named is not None:
            text += f", request {named}"
        return cls(text, response.status_code, _retry_after(response), request_id=named, document=document)

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


MOST_SAID = 200
"""Characters of a sentence of a server that go into one of ours."""

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


def nothing_came(error: httpx.TransportError) -> str:
    """Why no answer came. Of a connection that was not made the machine says why, and nothing secret is in that."""
    kind = type(error).__name__
    return f"{kind} ({_line(str(error))})" if isinstance(error, httpx.ConnectError) and str(error) else kind


_REQUEST_IDS = ("x-amzn-requestid", "x-amz-request-id")
"""Under which API Gateway and S3 name the request that they answer."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_=+/.-]{1,64}")


def request_id(headers: httpx.Headers) -> str | None:
    """The name that the server's logs have for the request, or None when the answer has none that can be one."""
    found = (headers.get(name, "") for name in _REQUEST_IDS)
    return next((text for text in found if _REQUEST_ID.fullmatch(text)), None)


def _line(text: str) -> str:
    """What a server says, as a piece of a line: of a bounded length, and without what moves a terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MOST_SAID])


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
