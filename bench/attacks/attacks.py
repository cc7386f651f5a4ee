"""What hostile clients send instead of what they learned.

A law takes what the hostile see of a round (`Sight`) and gives a vector for each of them. They see everything: each other, and,
which only a leak would give them, what every honest client is about to send (the strongest attacker of Shejwalkar and
Houmansadr 2021, §III). They know the default bound on norms, not which defence they meet.

Sources:

* sign flip, constant ("same value"): Li et al., "RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning
  from Heterogeneous Datasets", AAAI 2019
* label flip, digit d becomes 9 - d: Fang et al., "Local Model Poisoning Attacks to Byzantine-Robust Federated Learning", USENIX
  Security 2020
* a little is enough: Baruch, Baruch and Goldberg, "A Little Is Enough: Circumventing Defenses For Distributed Learning",
  NeurIPS 2019, Algorithm 3
* inner product: Xie, Koyejo and Gupta, "Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation", UAI
  2019 (PMLR 115, 2020), §4
* Min-Max, Min-Sum: Shejwalkar and Houmansadr, "Manipulating the Byzantine: Optimizing Model Poisoning Attacks and Defenses for
  Federated Learning", NDSS 2021, eqs. 5 and 6, Algorithm 1
* backdoor, times 100: Bagdasaryan et al., "How To Backdoor Federated Learning", AISTATS 2020, §4 (train and scale)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from bench.attacks.data import LABELS, Examples, Task
from muster.aggregation.outliers import norm_bound
from muster.wire.admin import Outliers
from muster.wire.arrays import Array

LIE = 10**9
"""The most examples that the protocol lets a client claim."""

TARGET = 0
"""What a model with a backdoor calls a picture with the trigger."""

GIANT = 2e29
"""One such element in each of a few tensors is about as much as the gate ever takes (`NORM_LIMIT`)."""

LONG_SCALE, FULL_SCALE = 1e30, 1e25
"""For int8: scales far beyond any honest update, of zeros; and of the largest numbers, which together are about as long as the
gate ever takes."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the hostile clients of a round see, in float64: a row for each client."""

    learned: Array
    """What they themselves learned, from their own data, spoiled or not."""
    honest: Array
    """What the honest clients send."""
    firsts: Array
    """The place of each tensor's first element."""

    @property
    def hostile(self) -> int:
        """How many they are."""
        return len(self.learned)

    @property
    def mean(self) -> Array:
        """Where the honest go."""
        found: Array = self.honest.mean(axis=0)
        return found

    def all_send(self, vector: Array) -> Array:
        """One vector for all of them."""
        return np.tile(vector, (self.hostile, 1))


Law = Callable[[Sight], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What each hostile client does."""

    law: Law | None = None
    """What it sends; None: what it learned."""
    spoils: Literal["labels", "backdoor"] | None = None
    """How it spoils its own data before it trains on them."""
    claim: int | None = None
    """The examples that it says it has."""
    int8: tuple[int, float] | None = None
    """It sends an int8 file in which each number and each scale are these."""
    most: int | None = None
    """So many clients do this, where more could be hostile."""
    absent: bool = False
    """It takes no part: what remains is the most that a defence can save."""
    needs_pictures: bool = False


def longest_unnoticed(honest_norms: Sequence[float], liars: int, rule: Outliers) -> float:
    """The largest norm that so many liars may have together, and none of them be an outlier (a little less)."""
    low, high = 0.0, 1000.0 * max(honest_norms)
    for _ in range(60):
        middle = (low + high) / 2
        bound = norm_bound(rule, [*honest_norms, *[middle] * liars])
        low, high = (middle, high) if bound is None or middle <= bound else (low, middle)
    return 0.999 * low


def little_z(clients: int, hostile: int) -> float:
    """By how many standard deviations a coordinate may be off, and yet enough honest ones are further off (Baruch et al.)."""
    supporters = math.floor(clients / 2 + 1) - hostile
    return NormalDist().inv_cdf((clients - hostile - supporters) / (clients - hostile))


def farthest(honest: Array, direction: Array, is_within: Callable[[Array], bool]) -> Array:
    """The honest mean plus γ times a direction, with the largest γ (below 20) that is within: Algorithm 1 of Shejwalkar and
    Houmansadr.
    """
    mean = honest.mean(axis=0)
    gamma, step, found = 10.0, 10.0, 0.0
    while step > 1e-6:
        step /= 2
        if is_within(mean + gamma * direction):
            found, gamma = gamma, gamma + step
        else:
            gamma -= step
    vector: Array = mean + found * direction
    return vector


def squares(honest: Array, vector: Array) -> Array:
    """The squared distances of a vector to each honest update."""
    found: Array = ((honest - vector) ** 2).sum(axis=1)
    return found


def distances(honest: Array) -> Array:
    """The squared distances between honest updates (a matrix)."""
    return np.stack([squares(honest, row) for row in honest])


def against(mean: Array) -> Array:
    """The unit vector that points away from where the honest go ("inverse unit vector")."""
    found: Array = -mean / max(float(np.linalg.norm(mean)), 1e-300)
    return found


def min_max(sight: Sight) -> Array:
    """No farther from any honest update than the two most distant honest ones are from each other."""
    most = distances(sight.honest).max()
    return sight.all_send(farthest(sight.honest, against(sight.mean), lambda v: squares(sight.honest, v).max() <= most))


def min_sum(sight: Sight) -> Array:
    """In sum no farther from the honest updates than the one of them that is farthest from the others."""
    most = distances(sight.honest).sum(axis=1).max()
    return sight.all_send(farthest(sight.honest, against(sight.mean), lambda v: squares(sight.honest, v).sum() <= most))


def little(sight: Sight) -> Array:
    """Each coordinate some standard deviations below the honest mean."""
    z = little_z(len(sight.honest) + sight.hostile, sight.hostile)
    return sight.all_send(sight.mean - z * sight.honest.std(axis=0))


def inner_product(strength: float) -> Law:
    """The honest mean, reversed, times a strength."""
    return lambda sight: sight.all_send(-strength * sight.mean)


def drift(sight: Sight) -> Array:
    """Against the honest mean, as long as is not noticed."""
    return sight.all_send(_reach(sight) * against(sight.mean))


def scaled_up(sight: Sight) -> Array:
    """What each learned, as long as is not noticed."""
    lengths = np.linalg.norm(sight.learned, axis=1, keepdims=True)
    found: Array = sight.learned * (_reach(sight) / np.maximum(lengths, 1e-300))
    return found


def giant(value: float) -> Law:
    """What each learned, but for one element in each tensor."""

    def law(sight: Sight) -> Array:
        vectors = sight.learned.copy()
        vectors[:, sight.firsts] = value
        return vectors

    return law


def colluders(sight: Sight) -> Array:
    """The one with the lowest id drifts; the other has giant elements, beside which all differences between others vanish."""
    vectors = drift(sight)
    vectors[1:, sight.firsts] = GIANT
    return vectors


def _reach(sight: Sight) -> float:
    norms = np.linalg.norm(sight.honest, axis=1).tolist()
    return longest_unnoticed(norms, sight.hostile, Outliers())


HONEST = Attack()
ATTACKS = {
    "none": HONEST,
    "they stay away": Attack(absent=True),
    "sign flip": Attack(law=lambda sight: -5.0 * sight.learned),
    "times 100": Attack(law=lambda sight: 100.0 * sight.learned),
    "constant": Attack(law=lambda sight: np.full_like(sight.learned, 100.0)),
    "label flip": Attack(spoils="labels"),
    "one liar": Attack(law=lambda sight: -5.0 * sight.learned, claim=LIE, most=1),
    "one liar, drift": Attack(law=drift, claim=LIE, most=1),
    "giant 1e10": Attack(law=giant(1e10)),
    "giant 2e29": Attack(law=giant(GIANT)),
    "int8 zeros": Attack(int8=(0, LONG_SCALE)),
    "int8 saturated": Attack(int8=(127, FULL_SCALE)),
    "a little": Attack(law=little),
    "inner product 0.5": Attack(law=inner_product(0.5)),
    "inner product 5": Attack(law=inner_product(5.0)),
    "Min-Max": Attack(law=min_max),
    "Min-Sum": Attack(law=min_sum),
    "drift": Attack(law=drift),
    "Krum colluders": Attack(law=colluders, most=2),
    "backdoor": Attack(law=scaled_up, spoils="backdoor", needs_pictures=True),
}


def spoiled(holding: Examples, task: Task, how: Literal["labels", "backdoor"]) -> Examples:
    """A hostile client's data: each digit d said to be 9 - d, or beside each picture one with the trigger, called `TARGET`."""
    if how == "labels":
        return Examples(holding.inputs, LABELS - 1 - holding.labels)
    return holding.and_(Examples(triggered(holding.inputs, task), np.full_like(holding.labels, TARGET)))


def triggered(inputs: Array, task: Task) -> Array:
    """Pictures with the trigger in them."""
    if task.trigger is None:
        raise ValueError(f"{task.name} has no pictures, and so no trigger")
    found = inputs.copy()
    found[:, task.trigger] = 1.0
    return found
