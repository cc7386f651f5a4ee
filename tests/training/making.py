"""What the tests of trainers share: small modules and data, the old loop as an oracle, a place in a round."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from muster.device.trainer import TrainingContext
from muster.training.torch import load, weights
from muster.wire.arrays import Array, encode


def data(seed: int = 0, examples: int = 60) -> TensorDataset:
    """Two classes in four dimensions, which a line divides."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, 4, generator=generator)
    return TensorDataset(inputs, (inputs[:, 0] > 0).long())


def module(seed: int = 1) -> nn.Module:
    """Two layers and a BatchNorm."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def dropping(seed: int = 1) -> nn.Module:
    """The same with dropout, which draws from torch's own generator."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


class Characters(nn.Module):
    """A GRU that says which character comes next: (batch, time) to (batch, time, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, 8)
        self.gru = nn.GRU(8, 16, batch_first=True)
        self.decoder = nn.Linear(16, classes)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.gru(self.embedding(text))
        return self.decoder(outputs)  # type: ignore[no-any-return]


class Tied(nn.Module):
    """An embedding whose weight is the decoder's too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 5)
        self.decoder = nn.Linear(5, 6, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.embedding(words))  # type: ignore[no-any-return]


def place(folder: Path, round_id: str = "toy.1", *, seed: int = 5, seconds_left: float | None = None) -> TrainingContext:
    """A place in a round."""
    return TrainingContext(round=round_id, seed=seed, folder=folder, seconds_left=seconds_left)


def digest(arrays: Mapping[str, Array]) -> str:
    """The SHA-256 of a version with these arrays."""
    return hashlib.sha256(encode(arrays)).hexdigest()


class Plain:
    """Local SGD for a classifier as in the first release, kept as the oracle of what came after it."""

    def __init__(self, module: nn.Module, train: Dataset[Any], seed: int) -> None:
        self._module = module
        self._train = train
        self._generator = torch.Generator().manual_seed(seed)

    def train(self, base: Mapping[str, Array], given: Mapping[str, Any]) -> dict[str, Array]:
        """The trained arrays."""
        load(self._module, base)
        parameters = list(self._module.parameters())
        anchors = [parameter.detach().clone() for parameter in parameters]
        momentum, decay, mu = (given.get(name, 0.0) for name in ("momentum", "weight_decay", "proximal_mu"))
        optimizer = torch.optim.SGD(parameters, given["learning_rate"], momentum, weight_decay=decay)
        batches = DataLoader(self._train, given["batch_size"], shuffle=True, generator=self._generator)
        self._module.train()
        for _ in range(given["epochs"]):
            for inputs, labels in batches:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(self._module(inputs), labels)
                if mu:
                    pairs = zip(parameters, anchors, strict=True)
                    loss = loss + 0.5 * mu * torch.stack([(one - anchor).square().sum() for one, anchor in pairs]).sum()
                torch.autograd.backward(loss)
                optimizer.step()
        return weights(self._module)
