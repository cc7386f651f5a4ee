"""What can go wrong on a device: what `muster.http.errors` draws, and more.

DeviceError
├── Refused, Unreachable, Insecure, Untrusted   as between any process and a server
│   ├── UnfitResult (an Untrusted)   what was trained cannot be sent: other tensors, or numbers that are not finite
│   └── Undeployed (an Untrusted)    nobody who holds the pinned key lets this device run what the server gives it
│       ├── Unsigned     the server shows no signature
│       ├── BadSignature  it is another key's, or of another text
│       ├── NotOffered    what was signed is of another model, or offers other versions
│       ├── Replayed      it was signed for a revision before one that was seen
│       └── ForeignKey    the server shows another key than the app expects, or has pinned
└── TrainerFailed   the trainer threw, or returned what cannot be sent; nothing was sent
"""

from __future__ import annotations

from muster.http.errors import MusterError, Untrusted
from muster.wire.failures import FailureReason

DeviceError = MusterError
"""Anything that the SDK raises of its own."""


class TrainerFailed(DeviceError):
    """The trainer threw (its own error is the cause), or what it returned is not what the protocol takes. `reason` is the word
    for it that the server takes.
    """

    def __init__(self, text: str, reason: FailureReason = FailureReason.TRAINER_ERROR) -> None:
        super().__init__(text)
        self.reason = reason


class UnfitResult(Untrusted):
    """The trained model has other tensors than the base, or numbers that cannot be sent. The gate's own word is the cause."""


class Undeployed(Untrusted):
    """The server gives a version that nobody who holds the pinned key lets this device run. What runs goes on running."""


class Unsigned(Undeployed):
    """A key is pinned, and the server shows no statement or no signature."""


class BadSignature(Undeployed):
    """The statement was not signed with the pinned key, or is none."""


class NotOffered(Undeployed):
    """The statement is of another model, or does not offer the checkpoint that the server gives."""


class Replayed(Undeployed):
    """The statement is of an earlier revision than one that was seen. A rollback is a later one."""


class ForeignKey(Undeployed):
    """The server shows no key, one that is none, or another one than this device is to go by."""
