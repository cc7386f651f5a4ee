"""Why a trainer could not do the work of a place, in the protocol's words (`muster.wire.failures`).

Any exception of a trainer has a word: `reason_of` looks in one table, by its type. Trainers, yours too, may raise the errors
that are made here to say which. Each is a `ValueError`, a `TypeError` or the like besides, so who caught those still does.

    ValueError                          TypeError                        LookupError      RuntimeError
    ├── UnknownHyperparameter           └── MistypedHyperparameter       └── MissingMetric  ├── Diverged
    ├── BadHyperparameter                                                                   └── NoTimeLeft
    ├── ForeignTensors
    └── TooLittleData
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping

from muster.device.errors import UnfitResult
from muster.http.errors import Untrusted
from muster.wire.failures import FailureReason
from muster.wire.reasons import Reason
from muster.wire.tensors import Unfit


class UnknownHyperparameter(ValueError):
    """The round has a hyperparameter that the trainer does not know."""


class BadHyperparameter(ValueError):
    """A hyperparameter is out of its bounds, or does not go with the others, the model or the data."""


class MistypedHyperparameter(TypeError):
    """A hyperparameter is of another type than the trainer takes."""


class ForeignTensors(ValueError):
    """The checkpoint has other tensors, shapes or dtypes than the trainer's model."""


class TooLittleData(ValueError):
    """There are no local examples, or fewer than are needed."""


class MissingMetric(LookupError):
    """A judge did not measure the metric that decides."""


class Diverged(RuntimeError):
    """Training came to numbers that are not finite."""


class NoTimeLeft(RuntimeError):
    """The work cannot be done in the time that is left."""


BY_TYPE: tuple[tuple[type[BaseException], FailureReason], ...] = (
    (UnknownHyperparameter, FailureReason.UNKNOWN_HYPERPARAMETER),
    (BadHyperparameter, FailureReason.BAD_HYPERPARAMETER),
    (MistypedHyperparameter, FailureReason.BAD_HYPERPARAMETER),
    (ForeignTensors, FailureReason.WRONG_SHAPE),
    (TooLittleData, FailureReason.TOO_LITTLE_DATA),
    (MissingMetric, FailureReason.MISSING_METRIC),
    (Diverged, FailureReason.NOT_FINITE),
    (NoTimeLeft, FailureReason.NO_TIME),
    (MemoryError, FailureReason.OUT_OF_MEMORY),
)
"""The first type that an exception is of has its word; what `reason_of` adds cannot be told by a type of ours or Python's."""

BY_ERRNO: Mapping[int, FailureReason] = {
    errno.ENOMEM: FailureReason.OUT_OF_MEMORY,
    errno.ENOSPC: FailureReason.DISK,
    errno.EDQUOT: FailureReason.DISK,
    errno.EROFS: FailureReason.DISK,
    errno.EIO: FailureReason.DISK,
}
"""What the operating system said."""

BY_UNFIT: Mapping[Reason, FailureReason] = {
    Reason.WRONG_TENSORS: FailureReason.WRONG_SHAPE,
    Reason.WRONG_SHAPE: FailureReason.WRONG_SHAPE,
    Reason.WRONG_DTYPE: FailureReason.WRONG_SHAPE,
    Reason.NOT_FINITE: FailureReason.NOT_FINITE,
    Reason.NORM_OVERFLOW: FailureReason.NOT_FINITE,
    Reason.BAD_SCALE: FailureReason.NOT_FINITE,
}
"""Why what was trained cannot be sent."""

LASTING = frozenset({
    FailureReason.UNKNOWN_HYPERPARAMETER, FailureReason.BAD_HYPERPARAMETER, FailureReason.WRONG_SHAPE,
    FailureReason.TOO_LITTLE_DATA, FailureReason.MISSING_METRIC, FailureReason.NO_TIME,
})  # fmt: skip
"""What does not pass by trying again: the place is given up at once."""

DEEPEST = 8
"""How far an exception's causes are followed: they may go round in a circle."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What the protocol takes for the name of an exception (`muster.wire.messages.ErrorName`)."""


def reason_of(error: BaseException, otherwise: FailureReason = FailureReason.TRAINER_ERROR) -> FailureReason:
    """The word for an exception, or for what caused it; `otherwise`, when there is none."""
    return next((found for one in _causes(error) if (found := _word(one)) is not None), otherwise)


def name_of(error: BaseException) -> str | None:
    """The name of an exception's class, if it is one that the protocol takes."""
    name = type(error).__name__
    return name if _NAME.fullmatch(name) else None


def text_of(error: BaseException) -> str:
    """An exception in one short line, whatever its own text does."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 (a text of others may throw anything)
        said = "(it has no text)"
    return f"{type(error).__name__}: {said}".partition("\n")[0][:300]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(DEEPEST):
        if error is None:
            return
        yield error
        error = error.__cause__


def _word(error: BaseException) -> FailureReason | None:
    if isinstance(error, UnfitResult):
        cause = error.__cause__
        return BY_UNFIT.get(cause.reason, FailureReason.BAD_RESULT) if isinstance(cause, Unfit) else FailureReason.BAD_RESULT
    if isinstance(error, Untrusted):
        return FailureReason.BAD_CHECKPOINT
    for kind, reason in BY_TYPE:
        if isinstance(error, kind):
            return reason
    if isinstance(error, OSError):
        return BY_ERRNO.get(error.errno or 0)
    return FailureReason.OUT_OF_MEMORY if _is_out_of_memory(error) else None


def _is_out_of_memory(error: BaseException) -> bool:
    """Accelerators' libraries have errors of their own for it: torch's `OutOfMemoryError`, or a plain `RuntimeError` that says
    so ("CUDA error: out of memory"). None of them is imported to find out.
    """
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in text_of(error).lower()
