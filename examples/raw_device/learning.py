"""What the device learns: the mean of numbers that only it has seen, for each number of the model. Any model will do.

All devices look at the same truth through noise of their own, so their average knows it better than each of them.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

from examples.raw_device.tensors import Tensor

NOISE = 0.2
CLOSE = 0.25
EXAMPLES, HELD_OUT = 24, 8
"""How many observations of each number it has: some to train on, and some to judge by."""


class Learner:
    """Local data, and what is done with it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def train(
        self, base: Mapping[str, Tensor], hyperparameters: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The trained model, and metrics: steps of gradient descent on half the squared distance to what it saw."""
        epochs, rate = int(hyperparameters.get("epochs", 1)), float(hyperparameters.get("learning_rate", 0.5))
        trained, losses = {}, [0.0]
        for name, tensor in base.items():
            values = list(tensor.values)
            if tensor.is_float:
                seen = self._seen(name, len(values), "train", EXAMPLES)
                for _ in range(epochs):
                    values = [value + rate * (mean - value) for value, mean in zip(values, seen, strict=True)]
                losses += [(value - mean) ** 2 for value, mean in zip(values, seen, strict=True)]
            elif tensor.dtype != "BOOL":
                values = [value + epochs for value in values]  # counters of steps
            trained[name] = Tensor(tensor.dtype, tensor.shape, values)
        return trained, {"train_loss": sum(losses) / len(losses)}

    def evaluate(self, model: Mapping[str, Tensor]) -> dict[str, float]:
        """How much of a model is close to what was held out."""
        distances = []
        for name, tensor in model.items():
            if tensor.is_float:
                seen = self._seen(name, len(tensor.values), "judge", HELD_OUT)
                distances += [abs(value - mean) for value, mean in zip(tensor.values, seen, strict=True)]
        close = sum(distance <= CLOSE for distance in distances)
        loss = sum(min(distance, 1e6) ** 2 for distance in distances) / max(1, len(distances))
        return {"accuracy": close / max(1, len(distances)), "loss": loss}

    def _seen(self, name: str, count: int, use: str, examples: int) -> list[float]:
        """The mean of this device's observations of each number of a tensor."""
        truth = random.Random(hashlib.sha256(name.encode()).digest())
        noise = random.Random(hashlib.sha256(f"{self._name} {use} {name}".encode()).digest())
        return [truth.uniform(-1, 1) + noise.gauss(0, NOISE / examples**0.5) for _ in range(count)]
