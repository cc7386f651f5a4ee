"""scikit-learn's 1797 handwritten digits (8x8 scans), who measures on which of them, and the versions that are rolled out.

One third makes the versions, in one place: how federated training makes them is another demo's matter. Of the rest each scanner
draws some for itself. A scan may lie on several of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from muster.training.sklearn import SklearnTrainer
from muster.wire.arrays import Array, decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES

WHITE = 16.0
"""The scanner's brightest pixel."""

DRAWN = 64
"""Scans on a scanner: half to train on, which this demo never does, and half to measure with."""

EPOCHS = {"first": 4, "good": 16, "later": 40}
"""Passes over the makers' scans after which each version was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The tensor files."""

    first: bytes
    """What is deployed at the beginning: it has not learnt long enough."""
    good: bytes
    """It has."""
    spoilt: bytes
    """The good one with the signs of its first layer flipped: of the right form, and worse than guessing."""
    later: bytes
    """The good one, after some passes more."""


def candidates(seed: int) -> Candidates:
    """Train a small network, and take it at three points of its way; spoil a copy."""
    scans, labels = _shuffled(seed)
    third = len(labels) // 3
    own = (scans[:third], labels[:third])
    maker = SklearnTrainer(_network(), own, own, classes=range(10), seed=seed)
    taken: dict[str, dict[str, Array]] = {}
    weights = dict(decode(maker.checkpoint(), HEADER_LIMIT_BYTES))
    for epoch in range(1, max(EPOCHS.values()) + 1):
        weights = dict(maker.train(weights, {"epochs": 1}).weights)
        taken |= {name: weights for name, epochs in EPOCHS.items() if epochs == epoch}
    good = taken["good"]
    return Candidates(
        first=encode(taken["first"]),
        good=encode(good),
        spoilt=encode({**good, "coef.0": -good["coef.0"]}),
        later=encode(taken["later"]),
    )


def trainers(devices: int, seed: int) -> list[SklearnTrainer]:
    """Every scanner's own: its scans are among those that made no version."""
    scans, labels = _shuffled(seed)
    third, half = len(labels) // 3, DRAWN // 2
    made = []
    for number in range(devices):
        drawn = third + np.random.default_rng([seed, number]).choice(len(labels) - third, DRAWN, replace=False)
        train, test = drawn[:half], drawn[half:]
        own = [(scans[some], labels[some]) for some in (train, test)]
        made.append(SklearnTrainer(_network(), *own, classes=range(10), seed=number))
    return made


def _network() -> MLPClassifier:
    """64 pixels, 32 hidden, 10 digits: 2,410 parameters."""
    return MLPClassifier((32,), batch_size=32, learning_rate_init=0.003)


def _shuffled(seed: int) -> tuple[Array, Array]:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    return pixels[order] / WHITE, labels[order]
