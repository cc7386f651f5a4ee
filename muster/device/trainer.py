"""What a trainer is: the part of a device that knows the model and the local data. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from muster.wire.arrays import Array

Hyperparameters = Mapping[str, bool | int | float | str]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The model after local training: the same names, shapes and dtypes as the base, on how many examples, with metrics."""

    weights: Mapping[str, Array]
    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A version measured on local data; `metrics` has at least `accuracy`, a fraction."""

    examples: int
    metrics: Mapping[str, float]


class Trainer(Protocol):
    """Brings the model and the data. Neither ever leaves the device; only the difference that training made does."""

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """Train from `base` (arrays by name) on local data, and return the trained arrays."""
        ...

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """Measure a version on local data that was kept out of training."""
        ...
