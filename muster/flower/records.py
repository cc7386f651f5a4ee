"""Arrays and configurations as a ClientApp expects them, and its replies read and checked, in both of Flower's APIs.

message   {"arrays": ArrayRecord, "config": ConfigRecord}  ──▶  one ArrayRecord, one MetricRecord with num-examples
numpy     what a NumPyClient's `fit` and `evaluate` get    ──▶  what they return
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from muster.flower import bridge
from muster.flower.errors import UnfitReply
from muster.flower.requests import Api, Purpose
from muster.wire.arrays import Array

EXAMPLES = "num-examples"


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """Under which names a strategy of the newer API sends arrays and configuration."""

    arrays: str = "arrays"
    config: str = "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReply:
    """A reply's numbers; `records` are those that strategies make metrics of, without arrays."""

    examples: int
    metrics: Mapping[str, float]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    records: Any = None


def api_of(app: Any) -> Api:
    """Which API a ClientApp is written for: the older one is made with a function that makes clients."""
    return "numpy" if getattr(app, "_call", None) is not None else "message"


def in_order(names: Mapping[str, Any]) -> list[str]:
    """The names of arrays in an app's order: that of their numbers, where all are numbers; else as they come."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else list(names)


def record_of(arrays: Mapping[str, Array]) -> Any:
    """Arrays as a record, in their order."""
    return bridge.ArrayRecord({name: bridge.Array(np.ascontiguousarray(array)) for name, array in arrays.items()})


def arrays_of(record: Any) -> dict[str, Array]:
    """The arrays of a record, in its order."""
    return {name: np.asarray(array.numpy()) for name, array in record.items()}


def asked(api: Api, purpose: Purpose, arrays: Mapping[str, Array], *, config: Mapping[str, Any], keys: RecordKeys) -> Any:
    """What a client is sent."""
    if api == "message":
        return bridge.RecordDict({keys.arrays: record_of(arrays), keys.config: bridge.ConfigRecord(dict(config))})
    from flwr.common import EvaluateIns, FitIns, ndarrays_to_parameters

    parameters = ndarrays_to_parameters([np.ascontiguousarray(array) for array in arrays.values()])
    if purpose == "train":
        return bridge.compat.fitins_to_recorddict(FitIns(parameters, dict(config)), keep_input=True)
    return bridge.compat.evaluateins_to_recorddict(EvaluateIns(parameters, dict(config)), keep_input=True)


def read(api: Api, purpose: Purpose, reply: Any, base: Mapping[str, Array]) -> ReadReply:
    """A reply, held against the arrays that were sent: the same names and shapes, and kinds that can be cast to theirs.

    Raises:
        UnfitReply: it is an error, or something is missing or does not fit; the sentence names it.
    """
    if reply.has_error():
        raise UnfitReply(f"the ClientApp failed: {reply.error.reason}")
    content = reply.content
    found = _of_message(purpose, content) if api == "message" else _of_client(purpose, content, base)
    if purpose == "evaluate":
        return found
    return ReadReply(examples=found.examples, metrics=found.metrics, arrays=_fitting(found.arrays, base), records=found.records)


def _of_message(purpose: Purpose, content: Any) -> ReadReply:
    metrics = list(content.metric_records.values())
    if len(metrics) != 1 or EXAMPLES not in metrics[0]:
        got = f"one without it ({', '.join(metrics[0]) or 'empty'})" if len(metrics) == 1 else f"{len(metrics)} of them"
        raise UnfitReply(f"reply to {purpose}: expected one MetricRecord with {EXAMPLES}, got {got}")
    arrays: Mapping[str, Array] = {}
    if purpose == "train":
        records = list(content.array_records.values())
        if len(records) != 1:
            raise UnfitReply(f"reply to train: expected one ArrayRecord, got {len(records) or 'none'}")
        arrays = arrays_of(records[0])
    numbers = {name: float(value) for name, value in metrics[0].items() if isinstance(value, int | float)}
    examples = _examples(numbers.pop(EXAMPLES, None), purpose)
    return ReadReply(examples=examples, metrics=numbers, arrays=arrays, records=bridge.RecordDict(dict(content.metric_records)))


def _of_client(purpose: Purpose, content: Any, base: Mapping[str, Array]) -> ReadReply:
    from flwr.common import Code, parameters_to_ndarrays

    if purpose == "train":
        found = bridge.compat.recorddict_to_fitres(content, keep_input=True)
    else:
        found = bridge.compat.recorddict_to_evaluateres(content)
    if found.status.code != Code.OK:
        raise UnfitReply(f"reply to {purpose}: {found.status.code.name}: {found.status.message}")
    numbers = {name: float(value) for name, value in found.metrics.items() if isinstance(value, int | float)}
    arrays: Mapping[str, Array] = {}
    if purpose == "train":
        returned = parameters_to_ndarrays(found.parameters)
        if len(returned) != len(base):
            raise UnfitReply(f"reply to train: expected {len(base)} arrays, as many as were sent, got {len(returned)}")
        arrays = dict(zip(base, returned, strict=True))
    else:
        numbers["loss"] = float(found.loss)
    examples = _examples(found.num_examples, purpose)
    return ReadReply(examples=examples, metrics=numbers, arrays=arrays, records=(examples, dict(found.metrics)))


def _examples(value: Any, purpose: Purpose) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or value < 1:
        raise UnfitReply(f"reply to {purpose}: expected a whole number of examples, at least 1, got {value!r}")
    return value


def _fitting(arrays: Mapping[str, Array], base: Mapping[str, Array]) -> dict[str, Array]:
    missing, extra = [name for name in base if name not in arrays], [name for name in arrays if name not in base]
    if missing or extra:
        told = [f"without {missing[0]!r}" if missing else "", f"with {extra[0]!r}" if extra else ""]
        raise UnfitReply(
            f"reply to train: expected {len(base)} arrays, as they were sent, got {len(arrays)} "
            f"({' and '.join(part for part in told if part)})"
        )
    made = {}
    for name, array in arrays.items():
        wanted = base[name]
        if array.shape != wanted.shape:
            raise UnfitReply(f"reply to train: array {name!r}: expected the shape {wanted.shape}, got {array.shape}")
        if not np.can_cast(array.dtype, wanted.dtype, "same_kind"):
            raise UnfitReply(f"reply to train: array {name!r}: expected {wanted.dtype}, got {array.dtype}")
        made[name] = array.astype(wanted.dtype, copy=False)
        if wanted.dtype.kind == "f" and not np.isfinite(made[name]).all():
            raise UnfitReply(f"reply to train: array {name!r} holds a number that is not finite")
    return made
