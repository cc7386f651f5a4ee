"""Small apps of each kind of task, each judged by a metric of its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from muster import App, Data, TorchTrainer
from muster.training.tasks import multilabel, regression, sequences

TRUSTED = {"evaluation_level": 0.5, "evaluation_liars": 0}


def slopes() -> Data:
    inputs = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32)
    return Data(inputs, inputs @ np.array([[1.0], [-2.0], [0.5], [3.0]], np.float32))


heights = App(
    name="heights",
    data=slopes,
    trainer=lambda own: TorchTrainer(nn.Linear(4, 1), own.train, own.test, task=regression(), short_batches=True),
    config={
        **TRUSTED, "metric": {"name": "mse", "direction": "lower", "minimum": 0}, "min_gain": 0.01, "max_regression": 1.0,
        "hyperparameters": {"epochs": 3, "batch_size": 8, "learning_rate": 0.05},
    },
)  # fmt: skip


class Speaker(nn.Module):
    """What follows a word, from the word alone."""

    def __init__(self) -> None:
        super().__init__()
        self.after = nn.Embedding(6, 6)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.after(words)  # type: ignore[no-any-return]


def refrains() -> Data:
    starts = np.arange(240) % 6
    words = (starts[:, None] + np.arange(9)) % 6
    return Data(words[:, :-1], words[:, 1:])


words = App(
    name="words",
    data=refrains,
    trainer=lambda own: TorchTrainer(Speaker(), own.train, own.test, task=sequences(), short_batches=True),
    config={
        **TRUSTED, "metric": {"name": "perplexity", "direction": "lower", "minimum": 1}, "min_gain": 0.01,
        "max_regression": 1.0, "hyperparameters": {"epochs": 3, "batch_size": 8, "learning_rate": 1.0},
    },
)  # fmt: skip


def signs() -> Data:
    inputs = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32)
    return Data(inputs, (inputs[:, :3] > 0).astype(np.float32))


tags = App(
    name="tags",
    data=signs,
    trainer=lambda own: TorchTrainer(nn.Linear(4, 3), own.train, own.test, task=multilabel(), short_batches=True),
    config={
        **TRUSTED, "metric": {"name": "f1", "direction": "higher", "minimum": 0, "maximum": 1}, "min_gain": 0.01,
        "max_regression": 0.5, "hyperparameters": {"epochs": 3, "batch_size": 8, "learning_rate": 0.6},
    },
)  # fmt: skip
