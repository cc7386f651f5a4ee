"""Metrics that are summed over batches: each is an object with `update(outputs, labels)`, `compute()` and `reset()`.

Those of torchmetrics are such objects, and any class with these three methods. Sums are weighted by what is counted, examples
or tokens, so that a last batch of three counts for three. They are kept in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch

MetricFunction = Callable[[torch.Tensor, torch.Tensor], Any]
"""Of a batch's outputs and labels: the mean over what is counted in it, as one number."""


@runtime_checkable
class Metric(Protocol):
    """What is summed over batches."""

    def update(self, outputs: torch.Tensor, labels: torch.Tensor) -> Any:
        """Take a batch in."""
        ...

    def compute(self) -> Any:
        """One number, for all since the last `reset`."""
        ...

    def reset(self) -> Any:
        """Forget all batches."""
        ...


def number(what: str, value: Any) -> float:
    """One number, as a float.

    Raises:
        TypeError: it is something else: None, a list, a tensor of several.
    """
    if isinstance(value, torch.Tensor):
        if value.numel() == 1 and not value.is_complex():
            return float(value.detach())
        raise TypeError(f"{what}: expected one number, got a tensor of shape {tuple(value.shape)}")
    if hasattr(value, "__float__") and not isinstance(value, str):
        return float(value)
    raise TypeError(f"{what}: expected one number, got {type(value).__name__}")


class WeightedMean:
    """The mean of a function's values, each weighted by what is counted in its batch."""

    def __init__(self, name: str, function: MetricFunction, counted: Callable[[torch.Tensor], int]) -> None:
        self._name = name
        self._function = function
        self._counted = counted
        self.reset()

    def update(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        """Raises TypeError where the function gives no number."""
        count = self._counted(labels)
        self._sum += number(f"metric {self._name!r}", self._function(outputs, labels)) * count
        self._count += count

    def compute(self) -> float:
        """NaN where nothing was counted."""
        return self._sum / self._count if self._count else math.nan

    def reset(self) -> None:
        """Nothing counted."""
        self._sum, self._count = 0.0, 0


class Share:
    """How many of what is counted are right: `found` gives, of a batch, how many are, and how many there are."""

    def __init__(self, found: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, int]]) -> None:
        self._found = found
        self.reset()

    def update(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch."""
        right, count = self._found(outputs, labels)
        self._right += float(right)
        self._count += count

    def compute(self) -> float:
        """From 0 to 1; NaN where nothing was counted."""
        return self._right / self._count if self._count else math.nan

    def reset(self) -> None:
        """Nothing counted."""
        self._right, self._count = 0.0, 0


_NOTHING = torch.zeros(1, dtype=torch.float64)


class R2:
    """The coefficient of determination, 1 − Σ(y − ŷ)²/Σ(y − ȳ)², of each output, and of these the mean.

    The spread about the mean is merged from batch to batch (Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm
    for Computing Sample Variances", 1979, eq. 2.1), which loses nothing where labels are far from 0. Of an output whose labels
    are all equal it is 1 when all are met, and otherwise 0, as in scikit-learn.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._spread = self._missed = _NOTHING

    def update(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch: both of shape (batch,) or (batch, outputs)."""
        wanted = labels.detach().double().cpu().reshape(len(labels), -1)
        missed = outputs.detach().double().cpu().reshape(len(labels), -1) - wanted
        count, mean = len(wanted), wanted.mean(0)
        spread = (wanted - mean).square().sum(0)
        if self._count:
            both = self._count + count
            spread = spread + self._spread + (mean - self._mean).square() * (self._count * count / both)
            mean = self._mean + (mean - self._mean) * (count / both)
        self._count, self._mean, self._spread = self._count + count, mean, spread
        self._missed = self._missed + missed.square().sum(0)

    def compute(self) -> float:
        """At most 1; NaN where nothing was counted."""
        if not self._count:
            return math.nan
        level = (self._missed == 0).double()
        return float(torch.where(self._spread > 0, 1.0 - self._missed / self._spread.clamp(min=1e-300), level).mean())

    def reset(self) -> None:
        """Nothing counted."""
        self._count = 0
        self._mean = self._spread = self._missed = _NOTHING


class MicroF1:
    """2·hits / (2·hits + false alarms + misses) over all labels of all examples; 0 where there is none of them."""

    def __init__(self, predicted: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """`predicted` makes booleans of outputs."""
        self._predicted = predicted
        self.reset()

    def update(self, outputs: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch: both of shape (batch, labels)."""
        said, true = self._predicted(outputs), labels.bool()
        self._hits += int((said & true).sum())
        self._wrong += int((said != true).sum())

    def compute(self) -> float:
        """From 0 to 1."""
        return 2.0 * self._hits / (2 * self._hits + self._wrong) if self._hits else 0.0

    def reset(self) -> None:
        """Nothing counted."""
        self._hits = self._wrong = 0
