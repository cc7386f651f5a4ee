"""A mean is, of a thousand elements but perhaps one, what exact arithmetic rounded once would make of it.

`make bench-precision` looks at far more of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from muster.wire.arrays import Array
from muster.wire.encodings import Encoding
from tests.aggregation.making import Made, frozen

SIZE, UPDATES = 1000, 10
PLAIN: Encoding = "plain"


def values(made: Made, count: int) -> list[list[Fraction]]:
    """The values that the updates of a round have of their one tensor."""
    found = []
    for _, (one,) in made.group(range(count)):
        out = np.empty(len(one))
        one.into(out)
        found.append([Fraction(x) for x in out.tolist()])
    return found


def share_right(found: Array, rows: Sequence[Sequence[Fraction]], factors: Sequence[float], weights: Sequence[int]) -> float:
    """The share of elements that are float32's nearest to the exact mean."""
    scaled = [[Fraction(factor) * x for x in row] for factor, row in zip(factors, rows, strict=True)]
    exact = [
        sum(weight * x for weight, x in zip(weights, column, strict=True)) / sum(weights)
        for column in zip(*scaled, strict=True)
    ]
    return float(np.mean([float(a) == float(np.float32(float(b))) for a, b in zip(found, exact, strict=True)]))


def normal(sigma: float, outlier: float | None) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    found: list[dict[str, Any]] = [
        {"w": (rng.standard_normal(SIZE) * np.exp(sigma * rng.standard_normal(SIZE))).astype("f4")} for _ in range(UPDATES)
    ]
    if outlier is not None:
        found[0]["w"][5] = outlier
    return found


def claims(total: int) -> list[int]:
    """Unlike ones: the means of like ones are often exactly half way between two float32."""
    shares = np.random.default_rng(9).uniform(0.5, 1.5, UPDATES)
    return [max(1, int(share * total / UPDATES)) for share in shares]


@pytest.mark.parametrize("total", [20, 2**17, 2**32])
@pytest.mark.parametrize("encoding", ["plain", "int8", "bfloat16"])
@pytest.mark.parametrize(("sigma", "outlier"), [(0.0, None), (4.0, None), (0.0, 1e6), (4.0, 9e28)])
def test_of_a_thousand_elements_at_most_one_is_not_the_exact_mean_rounded_once(
    total: int, encoding: Encoding, sigma: float, outlier: float | None
) -> None:
    weights = claims(total)
    made = frozen(normal(sigma, outlier), examples=weights, max_examples=10**9, encodings=[encoding])
    found = made.aggregate()["w"].astype("f4")
    assert share_right(found, values(made, UPDATES), [1.0] * UPDATES, weights) >= 0.999


@pytest.mark.parametrize("claim", [2, 1_677_721, 107_374_182, 999_999_999])
def test_equal_claims_however_large_cost_no_bits(claim: int) -> None:
    """Many of their means are exactly half way between two float32, so the least error would show."""
    made = frozen(normal(0.0, None), examples=[claim] * UPDATES, max_examples=10**9)
    found = made.aggregate()["w"].astype("f4")
    assert share_right(found, values(made, UPDATES), [1.0] * UPDATES, [1] * UPDATES) == 1.0


def short() -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    return [{"w": (rng.standard_normal(SIZE) * 1e-3).astype("f4")} for _ in range(9)]


@pytest.mark.parametrize("clip", [1e-3, 1e-9, 1e-20])
def test_clipped_updates_are_averaged_as_finely_as_others(clip: float) -> None:
    made = frozen(short(), clip=clip)
    entries = made.manifest.entries
    factors, weights = [made.manifest.factor(entry) for entry in entries], [made.manifest.weight(entry) for entry in entries]
    assert max(factors) < 0.1
    assert share_right(made.aggregate()["w"].astype("f4"), values(made, 9), factors, weights) >= 0.999


@pytest.mark.parametrize("giant", [1e10, -1e14, 9e28])
@pytest.mark.parametrize("encoding", ["plain", "int8", "bfloat16"])
def test_a_giant_that_is_clipped_changes_no_other_coordinate(giant: float, encoding: Encoding) -> None:
    liar, nobody = np.zeros(SIZE, "f4"), np.zeros(SIZE, "f4")
    liar[5] = giant
    encodings: list[Encoding] = [PLAIN] * 9 + [encoding]
    found, without = (
        np.delete(frozen([*short(), {"w": last}], clip=1e-3, encodings=encodings).aggregate()["w"], 5)
        for last in (liar, nobody)
    )
    assert np.count_nonzero(found) > 0.99 * found.size
    assert found.astype("f4").tobytes() == without.astype("f4").tobytes()
