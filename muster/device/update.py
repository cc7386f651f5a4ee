"""An update: what training changed, as the file that is uploaded; and, where that file is coarse, what it left out."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muster.device.errors import UnfitResult
from muster.device.files import replace_file
from muster.device.trainer import TrainingResult
from muster.wire import gate
from muster.wire.arrays import Array, decode, encode, schema_of
from muster.wire.encodings import Encoding
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit, match, update_schema
from muster.wire.values import decode_update, encode_update

if TYPE_CHECKING:
    from opentelemetry.context import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An update that was trained and is not delivered yet. It waits in memory: to train it again would cost more."""

    place: tuple[str, str]
    """The round, and the digest of its base."""
    update: bytes
    examples: int
    metrics: Mapping[str, float]
    left: Mapping[str, Array] | None
    """What rounding has left out of it, where it was rounded."""
    trace: Context | None = None
    """Where its training was told (`muster.telemetry`): its delivery is told there too."""


def delta(base: Mapping[str, Array], result: TrainingResult, encoding: Encoding = "plain") -> bytes:
    """What training changed, as an update file: the trained arrays minus the base's, for every float and integer tensor.

    Raises:
        UnfitResult: the trained model has other tensors than the base, or numbers that are not finite, or that the encoding
            cannot hold; the server would reject it, so it is not sent.
    """
    return _encoded(changes(base, result), encoding)


def changes(base: Mapping[str, Array], result: TrainingResult) -> dict[str, Array]:
    """The trained arrays minus the base's, in the base's dtypes; of integers, held at the ends of their dtype.

    Raises:
        UnfitResult: the trained model has other tensors than the base.
    """
    trained = {name: np.asarray(result.weights[name]) for name in result.weights}
    try:
        match(schema_of(trained), schema_of(base))
    except (Unfit, TypeError) as unfit:
        raise UnfitResult(f"the trained model is unfit: {unfit}") from unfit
    with np.errstate(invalid="ignore", over="ignore"):
        return {spec.name: _change(trained[spec.name], base[spec.name]) for spec in update_schema(schema_of(base))}


def _change(trained: Array, base: Array) -> Array:
    """`trained - base`. An integer that would wrap round is held instead: of a `uint8`, 5 to 3 is no change, and not 254."""
    if base.dtype.kind != "f":
        limits = np.iinfo(base.dtype)
        trained = np.clip(trained, limits.min + np.maximum(base, 0), limits.max + np.minimum(base, 0))
    changed: Array = trained - base
    return changed


class Feedback:
    """Error feedback: what rounding left out of one update is added to the next one, so that nothing is lost for good.

    (Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014; Karimireddy et al., "Error Feedback Fixes SignSGD and
    other Gradient Compression Schemes", ICML 2019, Algorithm 1.) It is kept beside the identity, and changes only when the
    server has taken the update. A device that dies between the two adds it once more: half a rounding step at the most. A file
    that is damaged is logged and deleted; a disk that takes none leaves it in memory.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._unwritten: dict[str, Array] | None = None
        """What the disk did not take."""

    def encoded(self, changed: Mapping[str, Array], base: Mapping[str, Array]) -> tuple[bytes, dict[str, Array]]:
        """The int8 update for some changes and what earlier ones left out, and what it leaves out itself.

        Raises:
            UnfitResult: there are numbers that are not finite.
        """
        left = self._left(base)
        with np.errstate(over="ignore"):
            wanted = {name: array + left[name] if name in left else array for name, array in changed.items()}
        try:
            update = _encoded(wanted, "int8")
        except UnfitResult as error:
            if not left:
                raise
            log.warning("what rounding left out of earlier updates is lost, it makes this one unfit: %s", error)
            wanted = dict(changed)
            update = _encoded(wanted, "int8")
        sent = decode_update(decode(update, HEADER_LIMIT_BYTES), wanted)
        return update, {name: array - sent[name] for name, array in wanted.items() if array.dtype.kind == "f"}

    def keep(self, left: Mapping[str, Array]) -> None:
        """Remember what was left out."""
        self._unwritten = None
        try:
            replace_file(self._file, encode(left))
        except OSError as error:
            log.warning("what rounding left out stays in memory, %s does not take it: %s", self._file.parent, error)
            self._unwritten = dict(left)

    def _left(self, base: Mapping[str, Array]) -> dict[str, Array]:
        """What earlier updates left out; nothing, when they were of a model of another shape."""
        found = self._read() if self._unwritten is None else self._unwritten
        floats = {name: array for name, array in base.items() if array.dtype.kind == "f"}
        return found if schema_of(found) == schema_of(floats) else {}

    def _read(self) -> dict[str, Array]:
        """The file, if it is there and can be of use."""
        try:
            if not self._file.exists():
                return {}
            found = decode(self._file.read_bytes(), HEADER_LIMIT_BYTES)
            schema_of(found)
            if all(np.isfinite(array).all() for array in found.values()):
                return found
            why = "it holds numbers that are not finite"
        except (OSError, Unfit, TypeError) as error:
            why = str(error)
        log.warning("what rounding left out of earlier updates is lost, %s is of no use: %s", self._file.name, why)
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be deleted: %s", self._file, error)
        return {}


def feedback_file(model: str) -> str:
    """The name of the file that keeps what rounding left out."""
    return f"{model}.feedback.safetensors"


def _encoded(changed: Mapping[str, Array], encoding: Encoding) -> bytes:
    """The file, after the gate that the server has too."""
    update = encode_update(changed, encoding)
    try:
        gate.inspect(io.BytesIO(update), len(update), schema_of(changed), hashlib.sha256(update).hexdigest(), encoding)
    except Unfit as unfit:
        raise UnfitResult(f"the trained model is unfit: {unfit}") from unfit
    return update
