"""What can go wrong on a device: what `muster.http.errors` draws, and one more.

DeviceError
├── Refused, Unreachable, Insecure, Untrusted   as between any process and a server
└── TrainerFailed   the trainer threw, or returned what cannot be sent; nothing was sent
"""

from __future__ import annotations

from muster.http.errors import MusterError

DeviceError = MusterError
"""Anything that the SDK raises of its own."""


class TrainerFailed(DeviceError):
    """The trainer threw (its own error is the cause), or what it returned is not what the protocol takes."""
