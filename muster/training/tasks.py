"""Tasks: what a module learns, as a loss and named metrics.

    classification()            labels (batch,) of integers, outputs (batch, classes); accuracy
    sequences(ignore_index=…)   labels (batch, time), outputs (batch, time, classes) or (batch, classes, time); accuracy of a
                                token, perplexity
    regression()                labels and outputs of one shape, (batch,) or (batch, outputs); mse, mae, r2
    multilabel(threshold=0.5)   labels (batch, labels) of 0 and 1, outputs logits of that shape; accuracy (all labels of an
                                example right), f1 (micro)

Another task is a `TrainingTask`. A `Score` is a task's loss and metrics over the batches of one pass over the data.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from muster.device.failures import TooLittleData
from muster.training.metrics import R2, Metric, MetricFunction, MicroF1, Share, WeightedMean, number

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of a batch's outputs and labels: the mean loss over what is counted in it."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,33}")


def _nothing(outputs: torch.Tensor, labels: torch.Tensor) -> None:
    """A task that asks for no shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTask:
    """A loss and metrics by name: functions of `(outputs, labels)`, or objects with update, compute and reset.

    Raises:
        ValueError: a metric's name is not of lower-case letters, digits and underscores, is too long, or is `loss`.
        TypeError: a metric is neither of both.
    """

    loss: Loss
    metrics: Mapping[str, MetricFunction | Metric]
    counted: Callable[[torch.Tensor], int] = len
    """How many of what the loss is a mean over are in a batch's labels: examples, tokens."""
    check: Callable[[torch.Tensor, torch.Tensor], None] = _nothing
    """Raises ValueError, with both shapes, for outputs and labels that are not this task's."""
    of_loss: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    """Metrics that are a function of the mean loss."""

    def __post_init__(self) -> None:
        for name in [*self.metrics, *self.of_loss]:
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "loss":
                raise ValueError(
                    f"metrics: expected names of at most 34 lower-case letters, digits and _, other than 'loss', got {name!r}"
                )
        for name, metric in self.metrics.items():
            if not isinstance(metric, Metric) and not callable(metric):
                raise TypeError(
                    f"metric {name!r}: expected a function of (outputs, labels), or an object with update, compute and "
                    f"reset, got {type(metric).__name__}"
                )


class Score:
    """A task's loss and metrics, summed over batches. Metrics with a state are copied: tasks may be shared."""

    def __init__(self, task: TrainingTask, device: torch.device) -> None:
        self._task = task
        self._metrics: dict[str, Metric] = {}
        for name, metric in task.metrics.items():
            if isinstance(metric, Metric):
                own = copy.deepcopy(metric)
                self._metrics[name] = own.to(device) if isinstance(own, nn.Module) else own
            else:
                self._metrics[name] = WeightedMean(name, metric, task.counted)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._loss, self._count = 0.0, 0
        for metric in self._metrics.values():
            metric.reset()

    def add(self, outputs: torch.Tensor, labels: torch.Tensor, loss: float, count: int) -> None:
        """Take a batch in, with its mean loss over `count`.

        Raises:
            TypeError: the function of a metric gave no number.
        """
        self._loss += loss * count
        self._count += count
        for metric in self._metrics.values():
            metric.update(outputs, labels)

    def found(self, data: str) -> tuple[dict[str, float], float]:
        """The metrics by name, and the mean loss. `data` is what the batches were of, for the error.

        Raises:
            TypeError: a metric computed no number.
            ValueError: nothing was counted, as in sequences whose labels are all ignored.
        """
        if not self._count:
            raise TooLittleData(f"{data}: expected at least one label that counts, got none")
        loss = self._loss / self._count
        metrics = {name: number(f"metric {name!r}", metric.compute()) for name, metric in self._metrics.items()}
        return metrics | {name: function(loss) for name, function in self._task.of_loss.items()}, loss


def classification(loss: Loss = nn.functional.cross_entropy) -> TrainingTask:
    """One class an example: cross-entropy and accuracy."""

    def check(outputs: torch.Tensor, labels: torch.Tensor) -> None:
        if labels.ndim != 1:
            hint = "; of sequences, one label a step, the task is sequences()" if labels.ndim == 2 else ""
            raise ValueError(f"classification(): expected labels of shape (batch,), got {tuple(labels.shape)}{hint}")
        if outputs.ndim != 2 or len(outputs) != len(labels):
            raise ValueError(
                f"classification(): expected outputs of shape ({len(labels)}, classes) for {len(labels)} labels, "
                f"got {tuple(outputs.shape)}"
            )

    def right(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        return (outputs.argmax(1) == labels).sum(), len(labels)

    return TrainingTask(loss=loss, metrics={"accuracy": Share(right)}, check=check)


def sequences(ignore_index: int = -100) -> TrainingTask:
    """One class a step, as in language models: cross-entropy, accuracy and perplexity over the labels that are not
    `ignore_index`. Where outputs could be read in both ways (time = classes), classes come last.
    """

    def flat(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if outputs.shape[:2] != labels.shape:
            outputs = outputs.transpose(1, 2)
        return outputs.reshape(-1, outputs.shape[-1]), labels.reshape(-1)

    def check(outputs: torch.Tensor, labels: torch.Tensor) -> None:
        if labels.ndim != 2:
            raise ValueError(f"sequences(): expected labels of shape (batch, time), got {tuple(labels.shape)}")
        batch, time = labels.shape
        if outputs.ndim != 3 or (batch, time) not in (tuple(outputs.shape[:2]), tuple(outputs.shape[::2])):
            raise ValueError(
                f"sequences(): expected outputs of shape ({batch}, {time}, classes) or ({batch}, classes, {time}) for labels "
                f"of shape {(batch, time)}, got {tuple(outputs.shape)}"
            )

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(*flat(outputs, labels), ignore_index=ignore_index)

    def right(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        logits, steps = flat(outputs, labels)
        counts = steps != ignore_index
        return ((logits.argmax(1) == steps) & counts).sum(), int(counts.sum())

    return TrainingTask(
        loss=loss,
        metrics={"accuracy": Share(right)},
        counted=lambda labels: int((labels != ignore_index).sum()),
        check=check,
        of_loss={"perplexity": lambda mean: math.exp(mean) if mean < 700 else math.inf},
    )


def regression(loss: Loss = nn.functional.mse_loss) -> TrainingTask:
    """Numbers: mean squared error, mean absolute error, and R²."""
    return TrainingTask(
        loss=loss,
        metrics={"mse": nn.functional.mse_loss, "mae": nn.functional.l1_loss, "r2": R2()},
        check=lambda outputs, labels: _one_shape("regression()", outputs, labels),
    )


def multilabel(threshold: float = 0.5) -> TrainingTask:
    """Any number of labels an example: binary cross-entropy of logits; a label is predicted from this probability on.

    Raises:
        ValueError: `threshold` is not between 0 and 1.
    """
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold: expected a probability between 0 and 1, got {threshold!r}")
    logit = math.log(threshold / (1.0 - threshold))

    def predicted(outputs: torch.Tensor) -> torch.Tensor:
        return outputs >= logit

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.binary_cross_entropy_with_logits(outputs, labels.to(outputs.dtype))

    def right(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
        return (predicted(outputs) == labels.bool()).all(1).sum(), len(labels)

    def check(outputs: torch.Tensor, labels: torch.Tensor) -> None:
        if labels.ndim != 2:
            raise ValueError(f"multilabel(): expected labels of shape (batch, labels), got {tuple(labels.shape)}")
        _one_shape("multilabel()", outputs, labels)

    return TrainingTask(loss=loss, metrics={"accuracy": Share(right), "f1": MicroF1(predicted)}, check=check)


def _one_shape(task: str, outputs: torch.Tensor, labels: torch.Tensor) -> None:
    if outputs.shape != labels.shape:
        raise ValueError(f"{task}: expected outputs of the labels' shape {tuple(labels.shape)}, got {tuple(outputs.shape)}")
