"""scikit-learn's 1797 handwritten digits (8x8 scans), and who holds which of them.

A fifth is held out: nobody trains on it. The rest is split over the devices as in Hsu, Qi and Brown, "Measuring the Effects
of Non-Identical Data Distribution for Federated Visual Classification" (2019): for each label, a draw from a symmetric
Dirichlet distribution says which share of its scans each device holds. At 0.3, most devices know a few digits only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset

CONCENTRATION = 0.3
"""Of the Dirichlet distribution; the smaller, the more unlike are the devices' data."""

HELD_OUT = 0.2
LOCAL_TEST = 0.2
"""Share of its own scans that a device keeps for judging candidates."""

LEAST_TRAINING_EXAMPLES = 10
LEAST_TEST_EXAMPLES = 3
DRAWS = 1_000

PIXEL_MEAN, PIXEL_DEVIATION = 4.9, 6.0
"""Of the scanner, whose pixels go from 0 to 16; known beforehand, so that no device need tell what its own are."""

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Holding:
    """What one device holds."""

    train: TensorDataset
    test: TensorDataset


@dataclass(frozen=True, slots=True)
class Digits:
    """The devices' holdings, their union (which only a data centre would have), and what is held out."""

    holdings: tuple[Holding, ...]
    union: TensorDataset
    held_out: TensorDataset


class TooManyDevices(ValueError):
    """The scans do not go round."""


def digits(devices: int, seed: int) -> Digits:
    """Split the scans over the devices.

    Raises:
        TooManyDevices: some would have too few scans.
    """
    pixels, labels = load_digits(return_X_y=True)
    scans = torch.from_numpy(((pixels - PIXEL_MEAN) / PIXEL_DEVIATION).astype(np.float32))
    targets = torch.from_numpy(labels.astype(np.int64))

    def chosen(indices: Indices) -> TensorDataset:
        return TensorDataset(scans[indices], targets[indices])

    pool, held_out = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=seed)
    generator = np.random.default_rng(seed)
    parts = [_shuffled_and_cut(part, generator) for part in _unlike_parts(pool, labels[pool], devices, generator)]
    return Digits(
        holdings=tuple(Holding(chosen(train), chosen(test)) for train, test in parts),
        union=chosen(np.concatenate([train for train, _ in parts])),
        held_out=chosen(held_out),
    )


def _unlike_parts(pool: Indices, labels: Indices, devices: int, generator: np.random.Generator) -> list[Indices]:
    """The pool in one part a device, drawn anew until every device has enough to train and to judge."""
    for _ in range(DRAWS):
        owner = np.empty(len(pool), dtype=np.intp)
        for label in np.unique(labels):
            where = generator.permutation(np.flatnonzero(labels == label))
            shares = generator.dirichlet([CONCENTRATION] * devices)
            ends = np.rint(np.cumsum(shares) * len(where)).astype(np.intp)
            for device, part in enumerate(np.split(where, ends[:-1])):
                owner[part] = device
        if np.bincount(owner, minlength=devices).min() >= LEAST_TRAINING_EXAMPLES + LEAST_TEST_EXAMPLES:
            return [pool[owner == device] for device in range(devices)]
    raise TooManyDevices(f"{len(pool)} scans are too few for {devices} devices")


def _shuffled_and_cut(part: Indices, generator: np.random.Generator) -> tuple[Indices, Indices]:
    """One device's scans for training, and those it keeps for judging."""
    shuffled = generator.permutation(part)
    kept = max(LEAST_TEST_EXAMPLES, round(LOCAL_TEST * len(part)))
    return shuffled[kept:], shuffled[:kept]
