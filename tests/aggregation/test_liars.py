"""Precision that no one can take away: what a few send cannot make the honest coordinates of the others coarser.

The law, for each rule, with at most as many liars as it tolerates, whatever finite values they send in whatever encoding:

* median, trimmed mean: the error of a coordinate, beside the exact value of the same rule on the same updates, is bounded by
  what the honest sent in that coordinate, and by nothing else;
* Krum, Multi-Krum: values are rounded, before distances are taken, at least as finely as the longest honest update asks for;
  a giant is never chosen; the mean of the chosen is exact beside what the chosen sent in that coordinate;
* the mean: coordinates in which nobody sent a giant come out as if nobody had anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.grids import Averaged, grids
from muster.aggregation.plan import NO_LIMITS
from muster.aggregation.registry import find_aggregator
from muster.aggregation.replay import Loaded, LocalParts
from muster.aggregation.rules.krum import CHOSEN, Rounding
from muster.wire.encodings import Encoding
from tests.aggregation.making import Made, Tensors, frozen, rule

SIZE = 40
LIES = st.sampled_from([0.0, -0.0, 1e-45, -1e-30, 1e-7, 0.5, -3.0, 1e6, 1e10, -1e14, 9e28, -9e28])
PLAIN: Encoding = "plain"
WAYS: list[Encoding] = ["plain", "int8", "bfloat16", "float32"]


def lie() -> st.SearchStrategy[Any]:
    """An update of a liar: few values, each in many places, or one in one place."""
    everywhere = st.lists(LIES, min_size=SIZE, max_size=SIZE)
    giant = st.tuples(st.integers(0, SIZE - 1), LIES).map(
        lambda pair: [pair[1] if at == pair[0] else 0.1 for at in range(SIZE)]
    )
    return everywhere | giant


rounds = st.tuples(
    st.integers(1, 2),
    st.lists(lie(), min_size=1, max_size=2),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 2.0]),
    st.sampled_from(["f4", "f8"]),
    st.sampled_from(WAYS),
)


def a_round(drawn: Any, name: str) -> tuple[Made, int, int]:
    """A round of honest updates, and after them of liars; how many may be hostile, and how many are."""
    tolerated, lies, seed, sigma, dtype, way = drawn
    lies = lies[:tolerated]
    rng = np.random.default_rng(seed)
    count = 2 * tolerated + 3 + seed % 4
    honest: list[Tensors] = [
        {"w": (rng.standard_normal(SIZE) * np.exp(sigma * rng.standard_normal(SIZE))).astype(dtype)}
        for _ in range(count - len(lies))
    ]
    updates = [*honest, *({"w": np.array(values, dtype)} for values in lies)]
    parameters = {"median": {}, "trimmed-mean": {"trim": tolerated}}.get(name, {"byzantine": tolerated})
    encodings: list[Encoding] = [PLAIN] * len(honest) + [way] * len(lies)
    return frozen(updates, rule(name, **parameters), encodings=encodings), tolerated, len(lies)


def values(made: Made) -> list[list[Fraction]]:
    """What the updates say, exactly: an update a row."""
    rows = []
    for _, (one,) in made.group(range(len(made.manifest.entries))):
        out = np.empty(SIZE)
        one.into(out)
        rows.append([Fraction(x) for x in out.tolist()])
    return rows


def largest(rows: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    """The largest magnitude of each coordinate."""
    return [max(abs(row[at]) for row in rows) for at in range(SIZE)]


@settings(max_examples=60)
@given(rounds, st.sampled_from(["median", "trimmed-mean"]))
def test_the_error_of_a_coordinate_is_bounded_by_what_the_honest_sent_in_it(drawn: Any, name: str) -> None:
    made, trim, liars = a_round(drawn, name)
    rows = values(made)
    cut = trim if name == "trimmed-mean" else (len(rows) - 1) // 2
    bits = 60 if name == "trimmed-mean" and drawn[4] == "f8" else 47
    found = made.aggregate()["w"]
    for at, most in enumerate(largest(rows[:-liars])):
        kept = sorted(row[at] for row in rows)[cut : len(rows) - cut]
        exact = sum(kept, Fraction(0)) / len(kept)
        rounding = abs(exact) * Fraction(2) ** -52
        assert abs(Fraction(float(found[at])) - exact) <= most * Fraction(2) ** -bits + rounding + Fraction(2) ** -1074


@settings(max_examples=60)
@given(rounds, st.sampled_from(["krum", "multi-krum"]))
def test_distances_are_as_fine_as_the_longest_honest_update_asks_for_and_the_chosen_are_averaged_exactly(
    drawn: Any, name: str
) -> None:
    made, byzantine, liars = a_round(drawn, name)
    entries = made.manifest.entries
    plan = find_aggregator(made.manifest.aggregator).plan(made.manifest, made.schema, NO_LIMITS)
    parts = LocalParts(made.schema, Loaded(made.load))
    parts.run(plan)
    chosen = parts.done[plan.stages[1].parts[0]][CHOSEN].tolist()

    norms = [entry.norm for entry in entries]
    honest = max(norms[:-liars])
    assert Rounding.of(norms, byzantine, SIZE).scale >= Rounding.of([honest] * len(norms), byzantine, SIZE).scale
    assert all(norms[number] <= 100 * honest for number in chosen), "no giant is chosen"

    rows = [values(made)[number] for number in chosen]
    found = parts.done[plan.stages[-1].parts[0]]["w"]
    bits = 23.0 if drawn[4] == "f4" else 52.0  # of what the model keeps, the mean of the chosen is right but for a rounding
    for at, most in enumerate(largest(rows)):
        exact = sum(row[at] for row in rows) / len(rows)
        error = abs(Fraction(float(found[at])) - exact)
        assert error <= (most if drawn[4] == "f4" else abs(exact) + most * Fraction(2) ** -20) * Fraction(2.0 ** -(bits + 1))


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e10, -1e14, 9e28]), st.sampled_from(WAYS))
def test_a_giant_in_one_coordinate_of_a_mean_changes_no_other_one(seed: int, giant: float, way: Encoding) -> None:
    rng = np.random.default_rng(seed)
    updates: list[Tensors] = [{"w": rng.standard_normal(3 * 1024).astype("f4")} for _ in range(9)]
    liar: Tensors = {"w": np.zeros(3 * 1024, "f4")}
    liar["w"][5] = giant
    without = frozen([*updates, {"w": np.zeros(3 * 1024, "f4")}]).aggregate()["w"].astype("f4")
    found = frozen([*updates, liar], encodings=[PLAIN] * 9 + [way]).aggregate()["w"].astype("f4")
    others = np.arange(found.size) != 5
    assert found[others].tobytes() == without[others].tobytes()


def test_two_colluders_no_longer_choose_by_a_tie() -> None:
    """One saturated all distances; of equal scores the lowest client id won, and that was the other's."""
    rng = np.random.default_rng(4)
    poison: Tensors = {"w": np.full(SIZE, -0.3, "f4")}
    giant: Tensors = {"w": np.full(SIZE, 9e28, "f4")}
    honest: list[Tensors] = [{"w": (1 + 0.1 * rng.standard_normal(SIZE)).astype("f4")} for _ in range(7)]
    made = frozen([poison, giant, *honest], rule("krum", byzantine=2))
    assert made.aggregate()["w"].mean() == pytest.approx(1.0, abs=0.1)


def test_ties_are_broken_by_the_updates_digest_and_not_by_who_sent_it() -> None:
    ones: list[Tensors] = [{"w": np.full(2, value, "f4")} for value in (1.0, -1.0, 1.0, -1.0)]
    found = {frozen(order, rule("krum", byzantine=0)).aggregate()["w"].tobytes() for order in (ones, ones[1:] + ones[:1])}
    assert len(found) == 1


def test_sums_of_int8_updates_with_two_limbs_are_exact_at_the_ends_of_their_numbers() -> None:
    """What is left over of a scale is multiplied by up to 128: the second grid has room for it."""
    rng = np.random.default_rng(1)
    updates: list[Tensors] = []
    for _ in range(8):
        numbers = np.full(4 * 1024, 127.0) * np.repeat([1.0, 1e-9, 1e-10, 1e-11], 1024) * rng.uniform(1, 2)
        updates.append({"w": numbers.astype("f4")})
    weights = [int(n) for n in rng.integers(1, 10**6, 8)]
    made = frozen(updates, examples=weights, max_examples=10**6, encodings=["int8"])
    (grid,) = grids(Averaged.of(made.manifest, made.manifest.entries, weights), made.schema)
    assert grid is not None
    assert (grid.bits is None, grid.limbs) == (False, 2)
    exact = [
        sum(w * x for w, x in zip(weights, column, strict=True)) / sum(weights) for column in zip(*full(made), strict=True)
    ]
    found = made.aggregate()["w"]
    assert max(abs(Fraction(float(a)) / b - 1) for a, b in zip(found, exact, strict=True)) < Fraction(2) ** -40


def full(made: Made) -> list[list[Fraction]]:
    """The values of all updates of a model of any size."""
    rows = []
    for _, (one,) in made.group(range(len(made.manifest.entries))):
        out = np.empty(len(one))
        one.into(out)
        rows.append([Fraction(x) for x in out.tolist()])
    return rows
