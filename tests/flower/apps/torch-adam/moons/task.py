"""Two moons, and a network for them."""

import torch
from sklearn.datasets import make_moons
from torch import nn


def network(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def load(partition: int):
    inputs, labels = make_moons(80, noise=0.2, random_state=partition)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def trained(net: nn.Module, data, rate: float) -> float:
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    for part in torch.randperm(len(data[1])).split(16):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(data[0][part]), data[1][part])
        loss.backward()
        optimizer.step()
    return float(loss)


def measured(net: nn.Module, data) -> tuple[float, float]:
    with torch.no_grad():
        outputs = net(data[0])
    return float(nn.functional.cross_entropy(outputs, data[1])), float((outputs.argmax(1) == data[1]).float().mean())
