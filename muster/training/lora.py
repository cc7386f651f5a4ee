"""Low-rank adapters: a large layer stays as it is, and what trains and travels is a small change of it.

(Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, eq. 3: W·x + (alpha/rank)·B·A·x.)

    adapt(module, ("attention.*", "mlp.*"), rank=8)     # before the trainer is made
    trainer = TorchTrainer(module, train, test)         # what is frozen stays at home: only A and B travel
    merge(module)                                       # the plain module, with the change in its weights

What is frozen must be the same on every device beforehand, since it does not travel. A server that averages A and B apart makes
something else than the mean of the changes: the product of means is not the mean of products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from muster.training.hyperparameters import near


class LoraLinear(nn.Module):
    """A linear layer that is frozen, and its change: `A` of shape (rank, inputs), `B` of shape (outputs, rank).

    `A` is drawn as the weights of a linear layer are, `B` is 0: at first nothing is changed.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(requires_grad=False)
        like = linear.weight
        self.A = nn.Parameter(torch.empty(rank, linear.in_features, dtype=like.dtype, device=like.device))
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank, dtype=like.dtype, device=like.device))
        self.scale = alpha / rank
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
    module: nn.Module, patterns: Sequence[str], *, rank: int, alpha: float | None = None, rest: bool = False
) -> list[str]:
    """Put a `LoraLinear` in the place of each linear layer that a pattern names, and freeze all other parameters, unless the
    `rest` trains too. `alpha` is the rank, when it is not given. Returns the names of the layers.

    Raises:
        ValueError: a pattern names no linear layer, or the rank is not from 1 to a layer's shorter side.
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
    if not rest:
        module.requires_grad_(requires_grad=False)
    for name in wanted:
        _replace(module, name, LoraLinear(linears[name], rank, float(rank if alpha is None else alpha)))
    return wanted


def merge(module: nn.Module) -> None:
    """Put the plain layers back, each with its change in its weights."""
    adapted = {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLinear)}
    for name, layer in adapted.items():
        _replace(module, name, layer.merged())


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, layer)
