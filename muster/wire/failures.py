"""Every word for why a device gives up the work of its place, shared by devices, server, metrics and operators. The table of
docs/protocol.md is made from these.

A word is never given another meaning, and never taken back: devices in the field say it. What no word fits is `trainer-error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class FailureReason(StrEnum):
    """Why the work of a place was given up: the training of an update, or the judging of a candidate."""

    OUT_OF_MEMORY = "out-of-memory"
    DISK = "disk"
    NO_TIME = "no-time"
    UNKNOWN_HYPERPARAMETER = "unknown-hyperparameter"
    BAD_HYPERPARAMETER = "bad-hyperparameter"
    WRONG_SHAPE = "wrong-shape"
    TOO_LITTLE_DATA = "too-little-data"
    NOT_FINITE = "not-finite"
    BAD_RESULT = "bad-result"
    MISSING_METRIC = "missing-metric"
    BAD_CHECKPOINT = "bad-checkpoint"
    TRAINER_ERROR = "trainer-error"


FAILURES: Mapping[FailureReason, str] = {
    FailureReason.OUT_OF_MEMORY: "there is not enough memory, of the machine or of its accelerator",
    FailureReason.DISK: "the disk is full, or takes nothing",
    FailureReason.NO_TIME: "the work cannot be done by `report_by`",
    FailureReason.UNKNOWN_HYPERPARAMETER: "the device's trainer does not know one of the hyperparameters",
    FailureReason.BAD_HYPERPARAMETER: "a hyperparameter is of another type, out of its bounds, or does not go with the others",
    FailureReason.WRONG_SHAPE: "the device's model has other tensors, shapes or dtypes than the checkpoint",
    FailureReason.TOO_LITTLE_DATA: "there are no local examples, or fewer than are needed",
    FailureReason.NOT_FINITE: "training diverged: its result is not finite, or beyond what the encoding holds",
    FailureReason.BAD_RESULT: "what the trainer returned is no result: of another type, without a number of examples",
    FailureReason.MISSING_METRIC: "a judge does not measure the metric that decides",
    FailureReason.BAD_CHECKPOINT: "what was downloaded is not what was announced, again and again",
    FailureReason.TRAINER_ERROR: "anything else",
}
"""What each says of the work."""
