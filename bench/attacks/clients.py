"""Clients that train on the demo's data, and what hostile ones send instead of what they learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch.utils.data import TensorDataset

from examples.digits.data import Digits, Holding
from examples.digits.model import network
from muster.device.torch import TorchTrainer
from muster.device.trainer import Hyperparameters
from muster.device.update import changes, delta
from muster.wire.arrays import Array, encode

DIGITS = 10
FLIP = np.float32(-5.0)
"""With four hostile clients in twenty, and equal weights, all below -4 turns the mean around: 16 - 4 * 5 is less than 0."""

BOOST = np.float32(100.0)
CONSTANT = np.float32(100.0)
LIE = 10**9
"""The most examples that the protocol lets a client claim."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What arrives at the server: the file, and the examples that the client claims."""

    client_id: str
    update: bytes
    examples: int
    hostile: bool
    """What the server cannot know, and the report of a training does."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What each hostile client does."""

    spoil: Callable[[Array], Array] | None = None
    """Applied to each tensor of what its training changed."""
    flip_labels: bool = False
    """It trains on wrong labels."""
    claim: int | None = None
    """The examples that it says it has."""
    alone: bool = False
    """One client does this, instead of as many as there may be hostile ones."""
    absent: bool = False
    """It takes no part: what remains is the most that a defence can save."""


HONEST = Attack()
ATTACKS = {
    "none": HONEST,
    "they stay away": Attack(absent=True),
    "sign flip": Attack(spoil=lambda change: change * FLIP),
    "times 100": Attack(spoil=lambda change: change * BOOST),
    "constant": Attack(spoil=lambda change: np.full_like(change, CONSTANT)),
    "label flip": Attack(flip_labels=True),
    "one liar": Attack(spoil=lambda change: change * FLIP, claim=LIE, alone=True),
}
"""Sign flip, and constant ("same value"): Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed
Learning from Heterogeneous Datasets", AAAI 2019. Times 100: the boosting of Bagdasaryan et al., "How To Backdoor
Federated Learning", AISTATS 2020, without a backdoor. Label flip, digit d becomes 9 - d: Fang
et al., "Local Model Poisoning Attacks to Byzantine-Robust Federated Learning", USENIX Security 2020."""


class Client:
    """One client, honest or hostile."""

    def __init__(self, client_id: str, holding: Holding, seed: int, attack: Attack = HONEST) -> None:
        self.client_id = client_id
        self._attack = attack
        data = flipped(holding.train) if attack.flip_labels else holding.train
        self._trainer = TorchTrainer(network(0), data, holding.test, seed=seed)

    def take_part(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> Upload:
        """Train from the base, and upload.

        Raises:
            Untrusted: training led to numbers that are not finite, so the device sends nothing.
        """
        result = self._trainer.train(base, hyperparameters)
        update, examples = delta(base, result), result.examples
        if self._attack.spoil:
            update = encode({name: self._attack.spoil(change) for name, change in changes(base, result).items()})
        if self._attack.claim:
            examples = self._attack.claim
        return Upload(self.client_id, update, examples, self._attack is not HONEST)


def flipped(data: TensorDataset) -> TensorDataset:
    """The same scans, each digit d said to be 9 - d."""
    scans, labels = data.tensors
    return TensorDataset(scans, DIGITS - 1 - labels)


def crew(digits: Digits, attack: Attack, hostile: int, seed: int) -> list[Client]:
    """A client for each holding. Who is hostile is drawn from the seed: under every attack the same clients, or the first of
    them.
    """
    count = len(digits.holdings)
    drawn = np.random.default_rng(seed).permutation(count)[: 1 if attack.alone else hostile].tolist()
    return [
        Client(f"device-{number:02}", holding, 10_000 * seed + number, attack if number in drawn else HONEST)
        for number, holding in enumerate(digits.holdings)
        if not (attack.absent and number in drawn)
    ]
