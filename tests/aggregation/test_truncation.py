"""Products, and the best approximation of low rank: as good as LAPACK's, and the same bits whoever does it, in any order."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation import matrices
from muster.aggregation.matrices import folded, orthonormal, product
from muster.aggregation.truncation import BASIS, balanced, jacobi, random_signs, tournament, truncated
from tests.aggregation.reference import Matrix, best_of_rank

SEED = b"seed"


def factors(seed: int, terms: int, outputs: int, inputs: int) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((terms, outputs)), rng.standard_normal((terms, inputs))


def approximation(left: Matrix, right: Matrix, rank: int) -> Matrix:
    found = truncated(left.copy(), right.copy(), rank, SEED)
    made: Matrix = (found.outputs.T * found.values) @ found.inputs
    return made


# ---- products


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(0, 200))
def test_a_product_is_as_good_as_float64_and_the_order_of_its_addends_changes_no_bit(
    rows: int, inner: int, columns: int, seed: int, spread: int
) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((rows, inner)), rng.standard_normal((inner, columns))
    left *= np.ldexp(1.0, rng.integers(-spread, spread + 1, (rows, 1)))
    right *= np.ldexp(1.0, rng.integers(-spread, spread + 1, (1, columns)))
    found = product(left, right)
    for row in range(rows):
        for column in range(columns):
            pairs = zip(left[row], right[:, column], strict=True)
            exact = sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction())
            bound = Fraction(float(np.abs(left[row]).max())) * Fraction(float(np.abs(right[:, column]).max())) * inner
            assert abs(Fraction(float(found[row, column])) - exact) <= bound / 2**50
    order = rng.permutation(inner)
    assert product(left[:, order], right[order]).tobytes() == found.tobytes()


def test_how_much_is_done_at_once_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = factors(1, 30, 50, 40)
    whole = product(left.T, right)
    for chunk in (1, 100, 1000):
        monkeypatch.setattr(matrices, "CHUNK", chunk)
        assert product(left.T, right).tobytes() == whole.tobytes()


def test_a_product_of_zeros_and_of_the_smallest_numbers() -> None:
    assert not product(np.zeros((2, 3)), np.ones((3, 4))).any()
    assert not product(np.full((2, 3), 5e-324), np.full((3, 4), 5e-324)).any()
    assert product(np.full((1, 3), 1e-260), np.full((3, 1), 1e250)).item() == pytest.approx(3e-10, rel=1e-14)
    assert not product(np.full((1, 3), 1e-310), np.full((3, 1), 1e250)).any(), "below 2**-900 there is nothing"


@given(st.lists(st.integers(-1000, 1000), max_size=70))
def test_a_folded_sum_is_the_sum(numbers: list[int]) -> None:
    assert folded(np.array(numbers, np.float64)) == sum(numbers)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_orthonormal_rows_span_what_was_given_and_no_more(count: int, before: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    others = orthonormal(rng.standard_normal((before, 30)), np.empty((0, 30)))
    vectors = rng.standard_normal((count, 30)) * np.exp(9 * rng.standard_normal((count, 1)))
    vectors[count // 2 :] = vectors[0]  # dependent rows make no further ones
    found = orthonormal(vectors, others)
    assert len(found) == max(1, count // 2)
    rows = np.concatenate([others, found])
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-13)
    np.testing.assert_allclose(vectors - (vectors @ rows.T) @ rows, 0, atol=1e-11 * np.abs(vectors).max())


# ---- rotations


@pytest.mark.parametrize("players", [2, 4, 10])
def test_in_a_tournament_each_meets_each_once(players: int) -> None:
    rounds = tournament(players)
    assert all(sorted([*one, *other]) == list(range(players)) for one, other in rounds)
    met = [frozenset(pair) for one, other in rounds for pair in zip(one.tolist(), other.tolist(), strict=True)]
    assert len(set(met)) == len(met) == players * (players - 1) // 2


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(0, 8), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 20.0]))
def test_turned_columns_are_perpendicular_and_their_lengths_are_the_singular_values(
    count: int, more: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((count, count + more)) * np.exp(spread * rng.standard_normal((count, 1)))
    turned, turn = jacobi(columns.copy())
    np.testing.assert_allclose(turn @ turn.T, np.eye(count), atol=1e-13)
    np.testing.assert_allclose(turn @ columns, turned, atol=1e-13 * np.abs(columns).max())
    lengths = np.sort(np.linalg.norm(turned, axis=1))[::-1]
    np.testing.assert_allclose(lengths, np.linalg.svd(columns, compute_uv=False), atol=1e-13 * lengths[0])


# ---- truncation


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_approximation_is_lapacks_and_the_order_of_terms_changes_no_bit(
    terms: int, outputs: int, inputs: int, rank: int, seed: int
) -> None:
    left, right = factors(seed, terms, outputs, inputs)
    whole = left.T @ right
    scale = np.linalg.norm(whole)
    best, found = best_of_rank(whole, rank), approximation(left, right, rank)
    assert np.linalg.norm(whole - found) <= np.linalg.norm(whole - best) + 1e-12 * scale
    if min(terms, outputs, inputs) <= rank:
        assert np.linalg.norm(whole - found) <= 1e-12 * scale
    order = np.random.default_rng(seed).permutation(terms)
    assert approximation(left[order], right[order], rank).tobytes() == found.tobytes()


SPECTRA = {
    "a bell curve's, 250 wide": np.random.default_rng(0).standard_normal((250, 300)),
    "slowly falling": np.diag(1.0 / np.arange(1, 301)),
    "a step behind the rank": np.diag([1.0] * 8 + [0.99] * 292),
    "a tie across the rank": np.diag([2.0] * 5 + [1.0] * 200),
    "all equal": np.eye(300),
    "falling by halves": np.diag(0.5 ** np.arange(300.0)),
    "giants and dwarfs": np.diag([1e30, 1e20, 1e10, *[1.0] * 50]),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_whatever_the_singular_values_the_error_is_the_best_one(spectrum: str) -> None:
    whole = SPECTRA[spectrum]
    rng = np.random.default_rng(1)
    outputs, inputs = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in whole.shape)
    whole = outputs @ whole @ inputs
    found, best = approximation(np.eye(len(whole)), whole, 8), best_of_rank(whole, 8)
    error, least = (float(np.linalg.norm(whole - one) / np.linalg.norm(whole)) for one in (found, best))
    assert error <= least + 1e-8


def test_signs_are_such_that_the_largest_component_of_inputs_is_positive() -> None:
    left, right = factors(5, 20, 10, 12)
    found = truncated(left.copy(), -right, 6, SEED)
    assert (np.take_along_axis(found.inputs, np.abs(found.inputs).argmax(axis=1)[:, None], axis=1) > 0).all()
    assert (np.diff(found.values) <= 0).all()


def test_terms_of_giants_and_dwarfs_are_brought_to_one_size() -> None:
    left, right = np.array([[1e300, 0], [0, 0], [1, 2]]), np.array([[1e-300, 2e-300], [5, 5], [3, -4]])
    whole = left.T @ right
    one, other, scale = balanced(left, right)
    assert one.shape == other.shape == (2, 2)
    assert max(np.abs(one).max(), np.abs(other).max()) <= 1.0
    np.testing.assert_allclose(np.ldexp(one.T @ other, scale), whole, rtol=1e-15)


def test_a_sum_without_terms_is_nothing() -> None:
    found = truncated(np.zeros((3, 4)), np.ones((3, 5)), 2, SEED)
    assert (found.values.shape, found.outputs.shape, found.inputs.shape) == ((0,), (0, 4), (0, 5))


@pytest.mark.parametrize("size", [1, 5])
def test_terms_that_cancel_out_are_nothing_too(size: int) -> None:
    left, right = factors(9, size, 6, 7)
    found = truncated(np.concatenate([left, left]), np.concatenate([right, -right]), 2, SEED)
    assert np.abs((found.outputs.T * found.values) @ found.inputs).max(initial=0.0) < 1e-14


def test_the_first_vectors_are_drawn_from_the_seed_and_are_the_same_for_ever() -> None:
    signs = random_signs(b"muster", 3, 50)
    assert signs.shape == (3, 50)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert hashlib.sha256(signs.tobytes()).hexdigest()[:16] == "51b33f9b2b1443c3"
    assert not np.array_equal(signs, random_signs(b"other", 3, 50))


def test_the_space_ends_where_it_may_grow_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flat spectrum asks for more than there is room for; what comes out is nearly the best."""
    monkeypatch.setattr("muster.aggregation.truncation.BASIS", 32)
    whole = np.random.default_rng(2).standard_normal((400, 400))
    found, best = approximation(np.eye(400), whole, 8), best_of_rank(whole, 8)
    error, least = (float(np.linalg.norm(whole - one) / np.linalg.norm(whole)) for one in (found, best))
    assert least < error < least + 0.01
    assert BASIS == 256
