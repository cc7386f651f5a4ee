"""What a trainer is: the part of a device that knows the model and the local data. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

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
    """A version measured on local data; `metrics` has at least the one by which the model is judged: accuracy, a fraction,
    unless its configuration names another.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingContext:
    """The place in a round for which a trainer is about to train or to measure; or the rollout for which it is to measure."""

    round: str
    """Its name, such as `digits.7`; of a rollout that asks what the trainer measures, the rollout's, such as `digits.r12`."""
    seed: int
    """From 0 to 2⁵³ - 1, the same whenever this device takes this round's place, and another one for every other device and
    round: who draws from it alone trains the same bits again after a crash."""
    folder: Path
    """Where the trainer may keep files; it is this model's own, and need not exist yet."""
    report_by: datetime | None = None
    """When the server stops waiting, in UTC by the server's clock."""
    seconds_left: float | None = None
    """Until `report_by`, from the call of `begin` on; None when it is not known. It never depends on this machine's clock."""


@runtime_checkable
class ContextTrainer(Protocol):
    """A trainer that wants to know for which place it works; `begin` is called before `train` and before `evaluate`."""

    def begin(self, context: TrainingContext) -> None:
        """Take note of the place. The same one may come again: after a failure, or after a restart."""
        ...
