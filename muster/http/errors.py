"""What can go wrong between this process and a server.

MusterError
├── Refused       the server said no, with a name (`problem`); sending the same again gets the same answer
├── Unreachable   the network or the server failed, also after every retry
│   ├── Overloaded  it answered 429 or 503: it asks for fewer requests, and perhaps says when to come again
│   ├── Expired   the store does not take a presigned URL (any more)
│   └── Missing   the store has no such object
├── Insecure      a URL would carry a key in the clear to another machine; nothing was sent
└── Untrusted     what came is not what was announced: another length or digest; nothing of it was used
"""

from __future__ import annotations

from muster.wire.messages import ProblemDocument
from muster.wire.problems import Problem


class MusterError(Exception):
    """Anything that the SDK and the operators' client raise of their own."""


class Refused(MusterError):
    """The server refused; `document` says what it expected and what it got.

    `problem` is None when the name is one that this release of the SDK does not know; then `document.status` tells its class.
    """

    def __init__(self, document: ProblemDocument) -> None:
        super().__init__(f"{document.title}: {document.detail} (expected {document.expected}, got {document.got})")
        self.document = document
        self.problem = _problem_of(document)

    @property
    def unauthenticated(self) -> bool:
        """Whether it is the key that was refused, by whatever name."""
        return self.problem is Problem.UNAUTHENTICATED or (self.problem is None and self.document.status == 401)

    @property
    def is_final(self) -> bool:
        """Whether the work that was refused is over: neither the key was refused, nor something that another check-in, or
        another upload of the same, mends. A refusal that this release does not know is final.
        """
        return self.problem not in _MENDED and not self.unauthenticated


def _problem_of(document: ProblemDocument) -> Problem | None:
    """The problem that a document names, or None when this release does not know the name."""
    try:
        return Problem.from_urn(document.type)
    except ValueError:
        return None


_MENDED = (Problem.NOT_ASSIGNED, Problem.UPLOAD_MISSING, Problem.UPLOAD_MISMATCH)


class Unreachable(MusterError):
    """No usable answer, after every retry. Of what came last, `status` is the HTTP status, `request_id` the name that the
    server's logs have for the request, and `problem` why it failed; each is None when nothing said so.
    """

    def __init__(
        self, text: str, status: int | None = None, *, request_id: str | None = None, document: ProblemDocument | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.request_id = request_id
        self.problem = _problem_of(document) if document else None


class Overloaded(Unreachable):
    """429 or 503. `retry_after_seconds` is what the answer's `Retry-After` says, None when it says nothing."""

    def __init__(
        self,
        text: str,
        status: int,
        retry_after_seconds: float | None,
        *,
        request_id: str | None = None,
        document: ProblemDocument | None = None,
    ) -> None:
        super().__init__(text, status, request_id=request_id, document=document)
        self.retry_after_seconds = retry_after_seconds


class Expired(Unreachable):
    """A presigned URL that the store does not take: it is too old, or the credentials that signed it are."""


class Missing(Unreachable):
    """Nothing lies where a presigned URL points."""


class Untrusted(MusterError):
    """Bytes that are not what they were announced to be."""


class Insecure(MusterError):
    """A URL of `http://` to another machine, which nobody asked for by name (`insecure_http`), or of no known scheme."""
