"""The network and its training.

Small, and without BatchNorm: running statistics of devices that know three digits each do not average to anything useful.
GroupNorm looks at one example at a time (Hsieh et al., "The Non-IID Data Quagmire of Decentralized Machine Learning",
ICML 2020, section 5).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import TensorDataset

from examples.digits.data import Digits
from examples.digits.place import Pace
from muster.training.torch import TorchTrainer, load, weights
from muster.wire.admin import RoundConfig
from muster.wire.arrays import decode
from muster.wire.tensors import HEADER_LIMIT_BYTES

HYPERPARAMETERS = {"epochs": 5, "batch_size": 16, "learning_rate": 0.03, "momentum": 0.9}


def network(seed: int) -> nn.Module:
    """Two convolutions and a linear layer, about 3,900 parameters; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, padding=1),
            nn.GroupNorm(1, 8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.GroupNorm(1, 16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 10),
        )


def round_config(honest: int, hostile: int, pace: Pace) -> RoundConfig:
    """Rounds that admit everybody, close at four fifths of the honest devices, and are judged by half of those."""
    goal = max(1, honest * 4 // 5)
    judges = max(1, honest // 2)
    return RoundConfig(
        goal=goal,
        quorum=max(1, goal // 2),
        over_selection=max(1.0, (honest + hostile) / goal),
        report_seconds=pace.report,
        grace_seconds=pace.grace,
        evaluators=judges,
        evaluation_quorum=max(1, judges // 2),
        # With a few scans each, hardly a fifth of the judges see what was gained. Here they are trusted, and it is enough when
        # more of them find a version better than worse.
        evaluation_level=0.5,
        evaluation_liars=0,
        evaluate_seconds=pace.evaluate,
        min_gain=0.005,
        hyperparameters=dict(HYPERPARAMETERS),
    )


def central_accuracies(digits: Digits, rounds: int, seed: int) -> list[float]:
    """Held-out accuracy of the same network trained on everybody's data in one place.

    One entry a round, each after as many passes over the data as a device makes over its own in a round.
    """
    trainer = TorchTrainer(network(seed), digits.union, digits.held_out, seed=seed)
    trained = weights(network(seed))
    accuracies = []
    for _ in range(rounds):
        trained = dict(trainer.train(trained, HYPERPARAMETERS).weights)
        accuracies.append(trainer.evaluate(trained).metrics["accuracy"])
    return accuracies


def accuracy(checkpoint: bytes, examples: TensorDataset) -> float:
    """The fraction of examples whose digit a version (a tensor file) names."""
    module = network(0)
    load(module, decode(checkpoint, HEADER_LIMIT_BYTES))
    module.eval()
    scans, labels = examples.tensors
    with torch.no_grad():
        return int((module(scans).argmax(1) == labels).sum()) / len(labels)
