"""What a trainer gave, held against what the protocol takes, before anything of it is sent.

    trained    weights as arrays by name · examples from 1 to 10⁹ · metrics, without those that the protocol does not take
    measured   examples · metrics with the one that decides, or the verdict `worse` where that, or the loss, is not finite
    observed   the metrics that a rollout asks for, null where they are not finite; `said`, the same of an app

Accuracy is a fraction, whoever measured it: one that decides and is none is an error, another one is left out.

Whatever a trainer throws, and whatever else it returns, is `TrainerFailed`.
"""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from muster.device.errors import TrainerFailed
from muster.device.failures import MissingMetric, reason_of, text_of
from muster.device.trainer import ContextTrainer, Hyperparameters, Trainer, TrainingContext, TrainingResult
from muster.wire import messages as wire
from muster.wire.arrays import Array
from muster.wire.failures import FailureReason

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
            raise _failed("the trainer could not begin", error) from error


def trained(trainer: Trainer, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
    """Let a trainer train. A metric that the protocol does not take is left out and logged: the update is worth sending.

    Raises:
        TrainerFailed: it threw, or returned something else than arrays by name and a number of examples.
    """
    try:
        result = trainer.train(base, hyperparameters)
    except Exception as error:
        raise _failed("training failed", error) from error
    try:
        weights = {str(name): np.asarray(array) for name, array in result.weights.items()}
        return TrainingResult(weights, _examples(result.examples), _metrics(result.metrics))
    except Exception as error:
        raise _failed("training failed", error, FailureReason.BAD_RESULT) from error


def measured(trainer: Trainer, weights: Mapping[str, Array], round_id: str, metric: str = "accuracy") -> wire.EvaluationReport:
    """Let a trainer measure a version. `metric` is the one that decides, as the assignment names it: when that, or the loss, is
    not finite (or beyond ±1e30, for which there is no message), the version is worse than any of which it is.

    Raises:
        TrainerFailed: the trainer threw, returned no number of examples, did not measure `metric`, or an accuracy that decides
            is not from 0 to 1.
    """
    try:
        result = trainer.evaluate(weights)
    except Exception as error:
        raise _failed("measuring failed", error) from error
    try:
        examples, found = _examples(result.examples), dict(result.metrics)
        if metric not in found:
            names = ", ".join(sorted(map(str, found))) or "none"
            raise MissingMetric(f"expected {metric} among the metrics, by which this model's versions are judged; got {names}")
        decides = float(found.pop(metric))
        if metric == "accuracy" and math.isfinite(decides) and not 0.0 <= decides <= 1.0:
            raise ValueError(f"expected an accuracy from 0 to 1, got {decides}")
        if not _is_number(decides) or not _is_number(float(found.get("loss", 0.0))):
            log.warning("round %s: a version is worse than any that can be measured: %s %s", round_id, metric, decides)
            return wire.EvaluationReport(round=round_id, examples=examples, metrics={}, verdict="worse")
        taken = _metrics({metric: decides, **found})
        if not 0.0 <= taken.get("accuracy", 0.0) <= 1.0:
            log.warning("metric accuracy is left out: expected a fraction from 0 to 1, got %s", taken.pop("accuracy"))
        return wire.EvaluationReport(round=round_id, examples=examples, metrics=taken)
    except Exception as error:
        raise _failed("measuring failed", error, FailureReason.BAD_RESULT) from error


def observed(trainer: Trainer, weights: Mapping[str, Array], names: Sequence[str]) -> dict[str, float | None]:
    """Let a trainer measure the version that runs, for a rollout that asks for the metrics of these names.

    Raises:
        TrainerFailed: the trainer threw, returned no number of examples, or did not measure what is asked for.
    """
    try:
        result = trainer.evaluate(weights)
    except Exception as error:
        raise _failed("measuring failed", error) from error
    try:
        _examples(result.examples)
        found = dict(result.metrics)
        if missing := [name for name in names if name not in found]:
            got = ", ".join(sorted(map(str, found))) or "none"
            raise MissingMetric(f"expected {', '.join(missing)} among the metrics, a rollout asks for it; got {got}")
        return {name: _told_number(name, found[name]) for name in names}
    except Exception as error:
        raise _failed("measuring failed", error, FailureReason.BAD_RESULT) from error


def said(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """What an app says that it measured of the version that runs.

    Raises:
        ValueError: a name or a number that the protocol does not take, or too many names.
    """
    if len(metrics) > MOST_METRICS:
        raise ValueError(f"metrics: expected at most {MOST_METRICS} names, got {len(metrics)}")
    for name in metrics:
        try:
            _NAME.validate_python(name, strict=True)
        except ValidationError:
            raise ValueError(f"metrics: expected names as [a-z][a-z0-9_]{{0,39}}, got {repr(name)[:60]}") from None
    return {name: _told_number(name, value) for name, value in metrics.items()}


def _told_number(name: str, value: Any) -> float | None:
    """A number as a rollout is told it: None when it is not finite, or beyond ±1e30, for which there is no message.

    Raises:
        ValueError: it is no number, or an accuracy that is not from 0 to 1.
    """
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        number = float(value)
    except OverflowError:
        return None
    except (TypeError, ValueError):
        raise ValueError(f"metric {name}: expected a number, got {repr(value)[:60]}") from None
    if not _is_number(number):
        return None
    if name == "accuracy" and not 0.0 <= number <= 1.0:
        raise ValueError(f"metric accuracy: expected a fraction from 0 to 1, got {number}")
    return number


def _failed(what: str, error: Exception, otherwise: FailureReason = FailureReason.TRAINER_ERROR) -> TrainerFailed:
    return TrainerFailed(f"{what}: {_told(error)}", reason_of(error, otherwise))


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
        try:
            return f"{first['msg']}, got {first['input']!r}"[:300]
        except Exception:  # noqa: BLE001 (what a trainer returned may throw when it is shown)
            return str(first["msg"])[:300]
    return text_of(error)
