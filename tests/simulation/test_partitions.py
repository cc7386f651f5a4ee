"""Every example has one holder, every client has enough, and each partition is as unlike as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster import Data
from muster.simulation.errors import BadPlan
from muster.simulation.partitions import split


def labelled(count: int, classes: int = 10, keys: int = 40) -> Data:
    numbers = np.arange(count)
    return Data(numbers, numbers % classes, numbers * 7 % keys)


PARTITIONS = ("iid", "dirichlet:0.1", "dirichlet:100", "shards:2", "key", "size:1.5", "dirichlet:0.0001")


@given(st.sampled_from(PARTITIONS), st.integers(1, 40), st.integers(120, 400), st.integers(0, 2**32), st.integers(1, 3))
def test_every_example_has_one_holder_and_every_client_enough(
    text: str, clients: int, count: int, seed: int, least: int
) -> None:
    parts = split(labelled(count), clients, text, np.random.default_rng(seed), least)
    assert len(parts) == clients
    assert min(len(part) for part in parts) >= least
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))


@pytest.mark.parametrize("text", PARTITIONS)
def test_the_same_seed_parts_alike(text: str) -> None:
    one, other = (split(labelled(300), 10, text, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def classes_held(text: str) -> float:
    """How many of ten classes a client has, on average."""
    data = labelled(2000)
    parts = split(data, 20, text, np.random.default_rng(0))
    return float(np.mean([len(np.unique(data.labels[part])) for part in parts]))


def test_the_smaller_alpha_the_fewer_classes_a_client_has() -> None:
    assert classes_held("dirichlet:0.05") < classes_held("dirichlet:0.5") < classes_held("dirichlet:50") == 10.0


def test_of_two_shards_a_client_has_two_classes_or_three() -> None:
    assert 1.0 <= classes_held("shards:2") <= 3.0


def test_by_key_no_key_has_two_holders() -> None:
    data = labelled(400)
    parts = split(data, 10, "key", np.random.default_rng(0))
    held = [set(data.keys[part].tolist()) for part in parts]
    assert sum(len(keys) for keys in held) == 40


def test_by_size_few_have_much() -> None:
    sizes = sorted(len(part) for part in split(labelled(10_000), 100, "size:1.2", np.random.default_rng(0)))
    assert sum(sizes[-10:]) > 10_000 / 2


def test_labels_that_are_sequences_or_numbers_cannot_part() -> None:
    sequences = Data(np.zeros((50, 3)), np.zeros((50, 3), np.int64))
    with pytest.raises(BadPlan, match=r"one label for each example.*shape \(50, 3\)"):
        split(sequences, 5, "dirichlet:1", np.random.default_rng(0))
    numbers = Data(np.zeros(50), np.linspace(0, 1, 50))
    with pytest.raises(BadPlan, match="labels that are classes"):
        split(numbers, 5, "shards:2", np.random.default_rng(0))


def test_without_keys_nobody_parts_by_them() -> None:
    with pytest.raises(BadPlan, match="expected data with keys"):
        split(Data([1, 2], [0, 1]), 2, "key", np.random.default_rng(0))


def test_data_of_unlike_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="labels: expected 3, one for each input, got 2"):
        Data([1, 2, 3], [0, 1])
    with pytest.raises(ValueError, match="expected examples, got none"):
        Data([], [])


def test_data_is_taken_from_arrays_and_from_lists_alike() -> None:
    arrays, lists = Data(np.arange(5), np.arange(5) * 2), Data.of((n, 2 * n) for n in range(5))
    chosen = np.array([3, 1])
    for data in (arrays, lists):
        taken = data.take(chosen)
        assert [taken[0], taken[1]] == [(3, 6), (1, 2)]
        assert len(taken) == 2
