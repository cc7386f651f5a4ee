"""Every word for why an update does not count, shared by server, devices, logs and metrics. The table of docs/protocol.md is
made from these.

A word is never given another meaning, and never taken back: devices in the field know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why an update is rejected or late, and why a tensor file is unfit."""

    WRONG_DIGEST = "wrong-digest"
    WRONG_LENGTH = "wrong-length"
    OVERSIZED_HEADER = "oversized-header"
    BAD_HEADER = "bad-header"
    WRONG_TENSORS = "wrong-tensors"
    WRONG_DTYPE = "wrong-dtype"
    WRONG_SHAPE = "wrong-shape"
    WRONG_ORDER = "wrong-order"
    NOT_FINITE = "not-finite"
    BAD_SCALE = "bad-scale"
    NORM_OVERFLOW = "norm-overflow"
    COUNTER_OVERFLOW = "counter-overflow"
    NORM_OUTLIER = "norm-outlier"
    UPLOAD_CHANGED = "upload-changed"
    CLIENT_REVOKED = "client-revoked"
    ROUND_CLOSED = "round-closed"
    ROUND_ABANDONED = "round-abandoned"
    TOO_LARGE = "too-large"


ABOUT: Mapping[Reason, str] = {
    Reason.WRONG_DIGEST: "has another SHA-256 than declared",
    Reason.WRONG_LENGTH: "is not as long as its header says",
    Reason.OVERSIZED_HEADER: "has a header that is too long for this model",
    Reason.BAD_HEADER: "has a header that breaks a rule of section 8",
    Reason.WRONG_TENSORS: "has other names than the base, in the agreed encoding",
    Reason.WRONG_DTYPE: "has another dtype than the base, in the agreed encoding",
    Reason.WRONG_SHAPE: "has another shape than the base; nothing is ever broadcast",
    Reason.WRONG_ORDER: "has its tensors in another order than section 8 says",
    Reason.NOT_FINITE: "holds NaN or an infinity",
    Reason.BAD_SCALE: "holds a scale that is negative or not finite",
    Reason.NORM_OVERFLOW: "has an L2 norm above what the model takes: its `max_norm`, or 10,000 times (the base's norm + 1); "
    "1e30 at the most",
    Reason.COUNTER_OVERFLOW: "moves an element of an integer tensor by more than the model's `max_count` (1,000,000 unless it "
    "says otherwise)",
    Reason.NORM_OUTLIER: "has an L2 norm too far above those of the round's other updates (known when the round has closed)",
    Reason.UPLOAD_CHANGED: "was replaced or deleted after the report",
    Reason.CLIENT_REVOKED: "is of a client whose key was revoked",
    Reason.ROUND_CLOSED: "came after the deadline, or after the round had enough (late)",
    Reason.ROUND_ABANDONED: "was in order, but the round did not complete (late)",
}
"""What each says of an update. `too-large` is said of a new model only, whose round is then abandoned."""
