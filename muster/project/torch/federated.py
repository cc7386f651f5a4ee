"""What is learnt, and from what. `muster simulate federated.py` trains it on devices that are simulated."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from muster import App, Data, LocalData, TorchTrainer


def data() -> Data:
    """All examples, as only a simulation has them: 1797 handwritten digits. Put yours here."""
    images, labels = load_digits(return_X_y=True)
    return Data((images / 16.0).astype(np.float32), labels)


def network() -> nn.Module:
    """The model. Every device has the same one."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def trainer(own: LocalData) -> TorchTrainer:
    """What a device trains and judges with; `own` is what it alone has."""
    return TorchTrainer(network(), own.train, own.test, short_batches=True, seed=own.seed)


app = App(
    name="NAME",
    data=data,
    trainer=trainer,
    config={
        "hyperparameters": {"epochs": 5, "batch_size": 16, "learning_rate": 0.2},
        # A version is deployed when more devices find it better than worse: for devices that are your own. What protects a
        # model against devices that lie is in docs/judging.md.
        "evaluation_level": 0.5,
        "evaluation_liars": 0,
    },
)
