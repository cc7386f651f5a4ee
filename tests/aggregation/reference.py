"""Every rule once more, as slowly and as plainly as its paper has it: the oracle of the fast ones.

An update is a flat float64 vector here, and a round a list of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


def mean(updates: Sequence[Vector], weights: Sequence[int]) -> Vector:
    """McMahan et al. 2017, Algorithm 1."""
    total = np.zeros_like(updates[0])
    for update, weight in zip(updates, weights, strict=True):
        total = total + weight * update
    return total / sum(weights)


def median(updates: Sequence[Vector]) -> Vector:
    """Yin et al. 2018, Definition 1."""
    columns = [sorted(float(update[at]) for update in updates) for at in range(updates[0].size)]
    n = len(updates)
    return np.array([c[n // 2] if n % 2 else (c[n // 2 - 1] + c[n // 2]) / 2 for c in columns])


def trimmed_mean(updates: Sequence[Vector], trim: int) -> Vector:
    """Yin et al. 2018, Definition 2, by count."""
    columns = [sorted(float(update[at]) for update in updates)[trim : len(updates) - trim] for at in range(updates[0].size)]
    return np.array([sum(column) / len(column) for column in columns])


def krum_scores(updates: Sequence[Vector], byzantine: int) -> list[float]:
    """Blanchard et al. 2017, §4."""
    scores = []
    for i, mine in enumerate(updates):
        distances = sorted(float(((mine - other) ** 2).sum()) for j, other in enumerate(updates) if j != i)
        scores.append(sum(distances[: len(updates) - byzantine - 2]))
    return scores


def multi_krum(updates: Sequence[Vector], byzantine: int, keep: int, ties: Sequence[int]) -> Vector:
    """Blanchard et al. 2017, §5; Krum is `keep` = 1. Of equal scores those count that come first in `ties`."""
    scores = krum_scores(updates, byzantine)
    chosen = sorted(ties, key=lambda i: scores[i])[:keep]
    return mean([updates[i] for i in chosen], [1] * keep)


def clipped(update: Vector, norm: float) -> Vector:
    """Sun et al. 2019."""
    length = float(np.sqrt((update**2).sum()))
    return update if length <= norm or length == 0 else update * (norm / length)


class Momentum:
    """Hsu et al. 2019."""

    def __init__(self, rate: float, beta: float, nesterov: bool) -> None:
        self.rate, self.beta, self.nesterov = rate, beta, nesterov
        self.v: Vector | None = None

    def step(self, w: Vector, gradient: Vector) -> Vector:
        self.v = gradient if self.v is None else self.beta * self.v + gradient
        return w + self.rate * (gradient + self.beta * self.v if self.nesterov else self.v)


class Adaptive:
    """Reddi et al. 2021, Algorithm 2."""

    def __init__(self, kind: str, rate: float, beta_1: float, beta_2: float, tau: float) -> None:
        self.kind, self.rate, self.beta_1, self.beta_2, self.tau = kind, rate, beta_1, beta_2, tau
        self.m: Vector | None = None
        self.v: Vector | None = None

    def step(self, w: Vector, gradient: Vector) -> Vector:
        m = np.zeros_like(w) if self.m is None else self.m
        v = np.full_like(w, self.tau**2) if self.v is None else self.v
        self.m = self.beta_1 * m + (1 - self.beta_1) * gradient
        if self.kind == "adagrad":
            self.v = v + gradient**2
        elif self.kind == "yogi":
            self.v = v - (1 - self.beta_2) * gradient**2 * np.sign(v - gradient**2)
        else:
            self.v = self.beta_2 * v + (1 - self.beta_2) * gradient**2
        return w + self.rate * self.m / (np.sqrt(self.v) + self.tau)


def best_of_rank(whole: Matrix, rank: int) -> Matrix:
    """Eckart and Young 1936, by LAPACK's singular values."""
    left, values, right = np.linalg.svd(whole, full_matrices=False)
    found: Matrix = (left[:, :rank] * values[:rank]) @ right[:rank]
    return found
