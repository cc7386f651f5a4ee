"""What can go wrong on a device.

DeviceError
├── Refused       the server said no, with a name (`problem`); sending the same again gets the same answer
├── Unreachable   the network or the server failed, also after every retry
│   ├── Expired   the store does not take a presigned URL (any more)
│   └── Missing   the store has no such object
└── Untrusted     what came is not what was announced: another length or digest; nothing of it was used
"""

from __future__ import annotations

from muster.wire.messages import ProblemDocument
from muster.wire.problems import Problem


class DeviceError(Exception):
    """Anything that the SDK raises of its own."""


class Refused(DeviceError):
    """The server refused; `document` says what it expected and what it got.

    `problem` is None when the name is one that this release of the SDK does not know.
    """

    def __init__(self, document: ProblemDocument) -> None:
        super().__init__(f"{document.title}: {document.detail} (expected {document.expected}, got {document.got})")
        self.document = document
        try:
            self.problem: Problem | None = Problem.from_urn(document.type)
        except ValueError:
            self.problem = None


class Unreachable(DeviceError):
    """No usable answer, after every retry."""


class Expired(Unreachable):
    """A presigned URL that the store does not take: it is too old, or the credentials that signed it are."""


class Missing(Unreachable):
    """Nothing lies where a presigned URL points."""


class Untrusted(DeviceError):
    """Bytes that are not what they were announced to be."""
