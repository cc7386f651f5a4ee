"""Low-rank adapters: a large layer stays as it is, and what trains and travels is a small change of it.

(Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, eq. 3: W·x + (alpha/rank)·B·A·x.)

    adapt(module, ("attention.*", "mlp.*"), rank=8)     # before the trainer is made
    trainer = TorchTrainer(module, train, test)         # what is frozen stays at home: only A and B travel
    merge(module)                                       # the plain module, with the change in its weights

What is frozen must be the same on every device beforehand, since it does not travel. A server that averages A and B apart makes
something else than the mean of the changes: the product of means is not the mean of products. The aggregator `lora`
(docs/aggregation.md) makes the best adapters of the mean of products.

With it a device may have adapters of a smaller rank than the model's, of the same scale, and takes part like the others:

    adapt(module, ("attention.*", "mlp.*"), rank=8, own_rank=2)
    trainer = SmallAdapters(TorchTrainer(module, train, test))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np
import torch
from torch import nn

from muster.device.trainer import ContextTrainer, Evaluation, Hyperparameters, Trainer, TrainingContext, TrainingResult
from muster.wire.adapters import names_of
from muster.wire.arrays import Array
from muster.wire.spelling import near

AS_GOOD = 1e-3
"""The share of a product by which its first columns and rows may be worse than the best approximation, to be taken for it."""


class LoraLinear(nn.Module):
    """A linear layer that is frozen, and its change: `A` of shape (rank, inputs), `B` of shape (outputs, rank).

    `A` is drawn as the weights of a linear layer are, `B` is 0: at first nothing is changed.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(requires_grad=False)
        like = linear.weight
        self.A = nn.Parameter(torch.empty(rank, linear.in_features, dtype=like.dtype, device=like.device))
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank, dtype=like.dtype, device=like.device))
        self.scale = scale
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The layer's outputs and, added, those of the change."""
        change = nn.functional.linear(nn.functional.linear(inputs, self.A), self.B)
        return self.linear(inputs) + self.scale * change  # type: ignore[no-any-return]

    def merged(self) -> nn.Linear:
        """The layer with the change in its weights, rounded to their dtype once; it trains again."""
        with torch.no_grad():
            change = self.scale * (self.B.double() @ self.A.double())
            self.linear.weight.copy_(self.linear.weight.double() + change)
        return self.linear.requires_grad_(requires_grad=True)


def adapt(
    module: nn.Module,
    patterns: Sequence[str],
    *,
    rank: int,
    alpha: float | None = None,
    own_rank: int | None = None,
    rest: bool = False,
) -> list[str]:
    """Put a `LoraLinear` in the place of each linear layer that a pattern names, and freeze all other parameters, unless the
    `rest` trains too. `alpha` is the rank, when it is not given. Returns the names of the layers.

    `own_rank` is this device's, where it is smaller than the model's. The scale is the model's all the same, alpha / rank: a
    product B A means the same change everywhere.

    Raises:
        ValueError: a pattern names no linear layer, the rank is not from 1 to a layer's shorter side, or the device's own is
            not from 1 to the rank.
        TypeError: `patterns` is a text.
    """
    if isinstance(patterns, str):
        raise TypeError(f"patterns: expected a sequence of patterns, such as ('attention.*',), got the text {patterns!r}")
    linears = {name: layer for name, layer in module.named_modules() if isinstance(layer, nn.Linear) and name}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in linears):
            raise ValueError(f"patterns: no linear layer is called {pattern!r}: {near(pattern, linears)}")
    wanted = [name for name in linears if any(fnmatchcase(name, pattern) for pattern in patterns)]
    for name in wanted:
        most = min(linears[name].in_features, linears[name].out_features)
        if not 1 <= rank <= most:
            raise ValueError(f"rank: expected from 1 to {most}, the shorter side of {name!r}, got {rank!r}")
    own = rank if own_rank is None else own_rank
    if not 1 <= own <= rank:
        raise ValueError(f"own_rank: expected from 1 to the model's rank, {rank}, got {own!r}")
    if not rest:
        module.requires_grad_(requires_grad=False)
    for name in wanted:
        _replace(module, name, LoraLinear(linears[name], own, (rank if alpha is None else alpha) / rank))
    return wanted


def merge(module: nn.Module) -> None:
    """Put the plain layers back, each with its change in its weights."""
    adapted = {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLinear)}
    for name, layer in adapted.items():
        _replace(module, name, layer.merged())


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, layer)


class ArrayTrainer(Trainer, Protocol):
    """A trainer that says what of its module travels, as `TorchTrainer` does."""

    def weights(self) -> Mapping[str, Array]:
        """Arrays by name."""
        ...


class SmallAdapters:
    """A trainer whose module has adapters of a smaller rank than the model, made for a model whose aggregator is `lora`.

    It trains from, and judges, the best approximation of each product B A that its rank can hold. What it sends has the model's
    shapes: its own columns of B, and zeros beside them. The rows of A beside its own stay the base's. They are multiplied by
    those zeros, and a change of them would only make the update longer.
    """

    def __init__(self, trainer: ArrayTrainer) -> None:
        self._trainer = trainer

    def begin(self, context: TrainingContext) -> None:
        """Work for this place from now on."""
        if isinstance(self._trainer, ContextTrainer):
            self._trainer.begin(context)

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """Train from the truncated base; the result has the base's shapes.

        Raises:
            ValueError, TypeError: as the trainer says.
        """
        result = self._trainer.train(self._truncated(base), hyperparameters)
        trained = dict(result.weights)
        for a, b in pairs(base):
            rank = len(trained[a])
            if rank < len(base[a]):
                wide_a, wide_b = base[a].copy(), np.zeros_like(base[b])
                wide_a[:rank], wide_b[:, :rank] = trained[a], trained[b]
                trained[a], trained[b] = wide_a, wide_b
        return TrainingResult(trained, result.examples, result.metrics)

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """Measure a version as this device can run it."""
        return self._trainer.evaluate(self._truncated(weights))

    def _truncated(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        own, found = self._trainer.weights(), dict(arrays)
        for a, b in pairs(arrays):
            if a in own and len(own[a]) < len(arrays[a]):
                found[a], found[b] = truncated(arrays[a], arrays[b], len(own[a]))
        return found


def pairs(arrays: Mapping[str, Array]) -> list[tuple[str, str]]:
    """The names of A and B of each pair of adapters."""
    found = [pair for name in arrays if (pair := names_of(name)) and name == pair.a]
    return [(pair.a, pair.b) for pair in found if pair.b in arrays and arrays[pair.a].ndim == arrays[pair.b].ndim == 2]


def truncated(a: Array, b: Array, rank: int) -> tuple[Array, Array]:
    """Adapters of a smaller rank whose product is the best approximation of B A (Eckart and Young 1936).

    Where the first rows of A and columns of B are as good they are taken as they are: that is so of what the server has made,
    whose columns are sorted, and of a B that is zero. Then what training changes is all that the update holds.
    """
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    (qa, ra), (qb, rb) = np.linalg.qr(wide_a.T), np.linalg.qr(wide_b)
    left, values, right = np.linalg.svd(rb @ ra.T)
    rest_a, rest_b = wide_a[rank:], wide_b[:, rank:]
    dropped = math.sqrt(max(0.0, float(((rest_b.T @ rest_b) * (rest_a @ rest_a.T)).sum())))
    if dropped <= float(np.linalg.norm(values[rank:])) + AS_GOOD * float(np.linalg.norm(values)):
        return a[:rank].copy(), b[:, :rank].copy()
    return (right[:rank] @ qa.T).astype(a.dtype), (qb @ (left[:, :rank] * values[:rank])).astype(b.dtype)
