"""The task of examples/heads: a network whose last layer stays at home."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bench.flower_app.given import examples

EPOCHS, BATCH, RATE, MOMENTUM = 3, 16, 0.1, 0.9
HEAD = "4."
"""What the names of the head's tensors begin with."""


def network() -> nn.Module:
    """A body of two layers, and a head."""
    return nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def dataset(path: str, part: str) -> TensorDataset:
    """A part of the examples."""
    inputs, labels = examples(path, part)
    return TensorDataset(torch.from_numpy(inputs), torch.from_numpy(labels))


def train(module: nn.Module, data: TensorDataset, seed: int) -> None:
    """SGD with momentum, from fresh, of body and head together."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)
    module.train()
    for _ in range(EPOCHS):
        for inputs, labels in DataLoader(data, BATCH, shuffle=True, generator=generator):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs), labels).backward()
            optimizer.step()


def measure(module: nn.Module, data: TensorDataset) -> dict[str, float]:
    """Accuracy, and the loss."""
    torch.set_num_threads(1)
    module.eval()
    right = loss = 0.0
    with torch.no_grad():
        for inputs, labels in DataLoader(data, 256):
            outputs = module(inputs)
            loss += float(nn.functional.cross_entropy(outputs, labels, reduction="sum"))
            right += int((outputs.argmax(1) == labels).sum())
    return {"accuracy": right / len(data), "loss": loss / len(data)}
