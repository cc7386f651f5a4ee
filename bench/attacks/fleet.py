"""All clients of a training, trained side by side: client k's network is row k of every array.

A network has one hidden layer of ReLUs or none, and the softmax's cross-entropy as its loss; each client goes over all it holds
by plain SGD, in an order of its own, a few times. So who holds more takes more steps, and sends a longer update: as devices
do. The SDK's trainer would do the same, twenty times slower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from bench.attacks.data import LABELS, Examples, Recipe
from muster.wire.arrays import Array


def first_model(features: int, recipe: Recipe, seed: int) -> dict[str, Array]:
    """Small random weights, and biases of zero, by the names that PyTorch gives to layers, in the order of a file."""
    generator = np.random.default_rng(seed)
    sizes = [features, *([recipe.hidden] if recipe.hidden else []), LABELS]
    model: dict[str, Array] = {}
    for number, (wide, narrow) in enumerate(pairwise(sizes)):
        bound = 1 / np.sqrt(wide)
        model[f"{2 * number}.bias"] = np.zeros(narrow, np.float32)
        model[f"{2 * number}.weight"] = generator.uniform(-bound, bound, (narrow, wide)).astype(np.float32)
    return model


class AttackedFleet:
    """Clients that hold examples, and train on them."""

    def __init__(self, holdings: Sequence[Examples], recipe: Recipe, seed: int) -> None:
        self._recipe = recipe
        self._generator = np.random.default_rng(seed)
        sizes = [len(holding.labels) for holding in holdings]
        self._inputs = np.concatenate([holding.inputs for holding in holdings])
        self._labels = np.concatenate([holding.labels for holding in holdings])
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    def train(self, base: Mapping[str, Array]) -> Array:
        """What training changes of the base, as a row for each client (float32): the model's tensors, flat, one after another.

        Numbers may be infinite, or none, after a step that was too long.
        """
        orders = [self._order(client) for client in range(len(self._starts) - 1)]
        by_length = sorted(range(len(orders)), key=lambda client: -len(orders[client]))
        steps = np.array([len(orders[client]) for client in by_length])
        trained = [np.repeat(array[None], len(orders), axis=0) for array in base.values()]
        with np.errstate(all="ignore"):
            for step in range(steps[0]):
                active = int((steps > step).sum())
                chosen = np.stack([orders[client][step] for client in by_length[:active]])
                rows = [array[:active] for array in trained]
                for array, gradient in zip(rows, _gradients(rows, self._inputs[chosen], self._labels[chosen]), strict=True):
                    array -= np.float32(self._recipe.rate) * gradient
            changed = np.concatenate(
                [(now - was).reshape(len(orders), -1) for now, was in zip(trained, base.values(), strict=True)], axis=1
            )
        return changed[np.argsort(by_length)]

    def _order(self, client: int) -> Array:
        """The examples of each of its steps (steps × batch): all that it has, shuffled, once an epoch."""
        own = np.arange(self._starts[client], self._starts[client + 1])
        order = np.concatenate([self._generator.permutation(own) for _ in range(self._recipe.epochs)])
        steps = max(1, len(order) // self._recipe.batch)
        return np.resize(order, (steps, self._recipe.batch))


def predict(model: Mapping[str, Array], inputs: Array) -> Array:
    """The label that a model names for each input."""
    with np.errstate(all="ignore"):
        outputs, _ = _forward([array[None] for array in model.values()], inputs[None])
    labels: Array = outputs[0].argmax(axis=1)
    return labels


def flat(tensors: Mapping[str, Array]) -> Array:
    """Tensors as one vector."""
    return np.concatenate([array.reshape(-1) for array in tensors.values()])


def shaped(vector: Array, like: Mapping[str, Array]) -> dict[str, Array]:
    """A vector as tensors."""
    ends = np.cumsum([array.size for array in like.values()])[:-1]
    parts = np.split(vector, ends)
    return {name: part.reshape(array.shape) for part, (name, array) in zip(parts, like.items(), strict=True)}


def _forward(layers: Sequence[Array], inputs: Array) -> tuple[Array, list[Array]]:
    """The outputs (clients × batch × labels), and what went into each layer; `layers` are bias, weight, bias, …"""
    entering = [inputs]
    for bias, weight in zip(layers[::2], layers[1::2], strict=True):
        if len(entering) > 1:
            np.maximum(entering[-1], 0, out=entering[-1])
        entering.append(entering[-1] @ weight.transpose(0, 2, 1) + bias[:, None])
    return entering.pop(), entering


def _gradients(layers: Sequence[Array], inputs: Array, labels: Array) -> list[Array]:
    """Of the mean loss of each client's batch, by each of its layers' arrays."""
    outputs, entering = _forward(layers, inputs)
    errors = np.exp(outputs - outputs.max(axis=2, keepdims=True))
    errors /= errors.sum(axis=2, keepdims=True)
    np.put_along_axis(errors, labels[..., None], np.take_along_axis(errors, labels[..., None], 2) - 1, 2)
    errors /= labels.shape[1]
    found: list[Array] = []
    for number in reversed(range(len(entering))):
        found[:0] = [errors.sum(axis=1), errors.transpose(0, 2, 1) @ entering[number]]
        if number:
            errors = (errors @ layers[2 * number + 1]) * (entering[number] > 0)
    return found
