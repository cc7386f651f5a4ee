"""What a trainer gave, held against what the protocol takes, before anything of it is sent.

    trained    weights as arrays by name · examples from 1 to 10⁹ · metrics, without those that the protocol does not take
    measured   examples · metrics with an accuracy from 0 to 1, or the verdict `worse` where accuracy or loss is not finite

Whatever a trainer throws, and whatever else it returns, is `TrainerFailed`.
"""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from muster.device.errors import TrainerFailed
from muster.device.trainer import ContextTrainer, Hyperparameters, Trainer, TrainingContext, TrainingResult
from muster.wire import messages as wire
from muster.wire.arrays import Array

log = logging.getLogger(__name__)

MOST_METRICS = 16

_EXAMPLES: TypeAdapter[int] = TypeAdapter(wire.Examples)
_NAME: TypeAdapter[str] = TypeAdapter(wire.MetricName)
_NUMBER: TypeAdapter[float] = TypeAdapter(wire.Finite)


def begun(trainer: Trainer, context: TrainingContext) -> None:
    """Tell a trainer for which place it works, if it wants to know.

    Raises:
        TrainerFailed: it threw.
    """
    if isinstance(trainer, ContextTrainer):
        try:
            trainer.begin(context)
        except Exception as error:
            raise TrainerFailed(f"the trainer could not begin: {_told(error)}") from error


def trained(trainer: Trainer, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
    """Let a trainer train. A metric that the protocol does not take is left out and logged: the update is worth sending.

    Raises:
        TrainerFailed: it threw, or returned something else than arrays by name and a number of examples.
    """
    try:
        result = trainer.train(base, hyperparameters)
        weights = {str(name): np.asarray(array) for name, array in result.weights.items()}
        return TrainingResult(weights, _examples(result.examples), _metrics(result.metrics))
    except Exception as error:
        raise TrainerFailed(f"training failed: {_told(error)}") from error


def measured(trainer: Trainer, weights: Mapping[str, Array], round_id: str) -> wire.EvaluationReport:
    """Let a trainer measure a version. When its accuracy or its loss is not finite the version is worse than any that has one.

    Raises:
        TrainerFailed: the trainer threw, or returned no number of examples, or no accuracy from 0 to 1.
    """
    try:
        result = trainer.evaluate(weights)
        examples, found = _examples(result.examples), dict(result.metrics)
        accuracy = float(found["accuracy"])
        if not math.isfinite(accuracy) or not _is_number(float(found.get("loss", 0.0))):
            log.warning("round %s: a version is worse than any that can be measured: accuracy %s", round_id, accuracy)
            return wire.EvaluationReport(round=round_id, examples=examples, metrics={}, verdict="worse")
        if not 0.0 <= accuracy <= 1.0:
            raise ValueError(f"expected an accuracy from 0 to 1, got {accuracy}")
        others = {name: value for name, value in found.items() if name != "accuracy"}
        return wire.EvaluationReport(round=round_id, examples=examples, metrics=_metrics({"accuracy": accuracy, **others}))
    except Exception as error:
        raise TrainerFailed(f"measuring failed: {_told(error)}") from error


def _examples(value: Any) -> int:
    return _EXAMPLES.validate_python(operator.index(value), strict=True)


def _metrics(found: Any) -> dict[str, float]:
    """Those that the protocol takes: finite numbers under its names, the first 16 of them."""
    if not isinstance(found, Mapping):
        log.warning("metrics are left out: expected numbers by name, got %s", type(found).__name__)
        return {}
    taken: dict[str, float] = {}
    for name, value in found.items():
        if len(taken) == MOST_METRICS:
            log.warning("metrics after the first %d are left out", MOST_METRICS)
            break
        try:
            taken[_NAME.validate_python(name, strict=True)] = _NUMBER.validate_python(float(value))
        except (ValidationError, TypeError, ValueError, OverflowError) as error:
            log.warning("metric %s is left out: %s", repr(name)[:60], _told(error))
    return taken


def _is_number(value: float) -> bool:
    """Whether the protocol has a way to write it."""
    try:
        _NUMBER.validate_python(value)
    except ValidationError:
        return False
    return True


def _told(error: Exception) -> str:
    """An error in one short line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        return f"{first['msg']}, got {first['input']!r}"[:300]
    return f"{type(error).__name__}: {error}".partition("\n")[0][:300]
