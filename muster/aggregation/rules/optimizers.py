"""What the server does with the pseudo-gradient Δ: element by element, in float64, so that the bits are the same on every CPU.

`sgd` without momentum is FedAvg's own step (McMahan et al., AISTATS 2017); with momentum it is FedAvgM (Hsu et al., "Measuring
the Effects of Non-Identical Data Distribution for Federated Visual Classification", 2019). The adaptive ones are Reddi et al.,
"Adaptive Federated Optimization", ICLR 2021, Algorithm 2:

    m ← β₁ m + (1 − β₁) Δ
    v ← v + Δ²                               adagrad
    v ← v − (1 − β₂) Δ² sign(v − Δ²)         yogi
    v ← β₂ v + (1 − β₂) Δ²                   adam
    w ← w + η m / (√v + τ)

As in the paper, v begins at τ² and there is no bias correction (Flower's FedAdam begins at 0 and corrects). State is kept with
the version that it belongs to, so that a round that starts from a version goes on with that version's state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from muster.aggregation.registry import F64, OptimizerStep, optimizer

Rate = Annotated[float, Field(gt=0.0, le=100.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


@optimizer("sgd")
@dataclass(frozen=True, slots=True)
class Sgd:
    """v ← β v + Δ; w ← w + η v, or with Nesterov's look-ahead w ← w + η (Δ + β v)."""

    learning_rate: Rate = 1.0
    momentum: Decay = 0.0
    nesterov: bool = False

    @property
    def letters(self) -> tuple[str, ...]:
        """Velocity, where there is momentum."""
        return ("v",) if self.momentum else ()

    def step(self, gradient: F64, state: Mapping[str, F64] | None) -> OptimizerStep:
        """One step."""
        if not self.momentum:
            return OptimizerStep(self.learning_rate * gradient, {})
        velocity = self.momentum * state["v"] + gradient if state else gradient
        ahead = gradient + self.momentum * velocity if self.nesterov else velocity
        return OptimizerStep(self.learning_rate * ahead, {"v": velocity})


class _Adaptive(ABC):
    """What the three share: all but how v is moved."""

    __slots__ = ()
    learning_rate: float
    beta_1: float
    tau: float

    @property
    def letters(self) -> tuple[str, ...]:
        """First and second moment."""
        return ("m", "v")

    @abstractmethod
    def second(self, v: F64, square: F64) -> F64:
        """The next v, from v and Δ²."""

    def step(self, gradient: F64, state: Mapping[str, F64] | None) -> OptimizerStep:
        """One step."""
        m = self.beta_1 * state["m"] + (1.0 - self.beta_1) * gradient if state else (1.0 - self.beta_1) * gradient
        v = self.second(state["v"] if state else np.full_like(gradient, self.tau * self.tau), gradient * gradient)
        return OptimizerStep(self.learning_rate * m / (np.sqrt(v) + self.tau), {"m": m, "v": v})


@optimizer("adagrad")
@dataclass(frozen=True, slots=True)
class Adagrad(_Adaptive):
    """FedAdagrad."""

    learning_rate: Rate = 0.1
    beta_1: Decay = 0.0
    tau: Rate = 1e-3

    def second(self, v: F64, square: F64) -> F64:
        """It only grows."""
        return v + square


@optimizer("adam")
@dataclass(frozen=True, slots=True, kw_only=True)
class Adam(_Adaptive):
    """FedAdam."""

    learning_rate: Rate = 0.1
    beta_1: Decay = 0.9
    beta_2: Decay = 0.99
    tau: Rate = 1e-3

    def second(self, v: F64, square: F64) -> F64:
        """It forgets."""
        return self.beta_2 * v + (1.0 - self.beta_2) * square


@optimizer("yogi")
@dataclass(frozen=True, slots=True, kw_only=True)
class Yogi(_Adaptive):
    """FedYogi."""

    learning_rate: Rate = 0.1
    beta_1: Decay = 0.9
    beta_2: Decay = 0.99
    tau: Rate = 1e-3

    def second(self, v: F64, square: F64) -> F64:
        """It forgets no faster than it must."""
        return v - (1.0 - self.beta_2) * square * np.sign(v - square)
