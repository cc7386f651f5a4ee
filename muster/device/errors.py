"""What can go wrong on a device: what `muster.http.errors` draws, and two more.

DeviceError
├── Refused, Unreachable, Insecure, Untrusted   as between any process and a server
│   └── UnfitResult (an Untrusted)   what was trained cannot be sent: other tensors, or numbers that are not finite
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
