"""The task of examples/characters: a network that reads plays, trained and measured by plain PyTorch."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bench.flower_app.given import examples
from examples.characters.network import PlayReader

EPOCHS, BATCH, RATE, LONGEST = 2, 16, 0.003, 1.0


def dataset(path: str, part: str) -> TensorDataset:
    """A part of the examples."""
    inputs, labels = examples(path, part)
    return TensorDataset(torch.from_numpy(inputs), torch.from_numpy(labels))


def train(network: PlayReader, data: TensorDataset, seed: int) -> None:
    """Adam, from fresh, with gradients clipped."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    network.train()
    for _ in range(EPOCHS):
        for inputs, labels in DataLoader(data, BATCH, shuffle=True, generator=generator):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs).transpose(1, 2), labels).backward()
            nn.utils.clip_grad_norm_(network.parameters(), LONGEST)
            optimizer.step()


def measure(network: PlayReader, data: TensorDataset) -> dict[str, float]:
    """Accuracy of a character, and the loss."""
    torch.set_num_threads(1)
    network.eval()
    right = loss = count = 0.0
    with torch.no_grad():
        for inputs, labels in DataLoader(data, 256):
            outputs = network(inputs)
            loss += float(nn.functional.cross_entropy(outputs.transpose(1, 2), labels, reduction="sum"))
            right += int((outputs.argmax(2) == labels).sum())
            count += labels.numel()
    return {"accuracy": right / count, "loss": loss / count}
