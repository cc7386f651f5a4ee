"""The weighted mean: a small algebra with one law, and its edge cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.grids import Averaged, grids
from muster.aggregation.manifest import Manifest
from muster.aggregation.ranges import elements
from muster.aggregation.registry import find_optimizer
from muster.aggregation.server import advance
from muster.aggregation.sums import Peaks, Sums
from muster.wire.arrays import Array
from tests.aggregation.making import Made, bits, frozen, rule

PLAIN = find_optimizer(rule("sgd"))


def summed(made: Made, order: list[int]) -> Sums:
    """The sums over some updates, one by one, in an order."""
    manifest = made.manifest
    averaged = averaged_of(made)
    chosen = grids(averaged, made.schema)
    peaks = Peaks(schema=made.schema, start=0, stop=elements(made.schema), grids=chosen, averaged=averaged)
    for number in range(len(manifest.entries)):
        peaks.add(made.group([number]), averaged[number : number + 1])
    sums = Sums(schema=made.schema, start=0, stop=elements(made.schema), grids=chosen, peaks=peaks.exponents())
    for number in order:
        sums.add(made.group([number]), averaged[number : number + 1])
    return sums


def averaged_of(made: Made) -> Averaged:
    """What the mean of a round averages."""
    return Averaged.of(made.manifest, made.manifest.entries, [made.manifest.weight(entry) for entry in made.manifest.entries])


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(["f2", "f4", "f8"]), st.randoms(use_true_random=False))
def test_merge_of_the_parts_is_the_whole_to_the_last_bit(count: int, seed: int, dtype: str, rng: Any) -> None:
    random = np.random.default_rng(seed)
    scale = random.choice([1e-4, 1.0, 1e4])
    updates = [
        {"w": (random.standard_normal((3, 2)) * scale).astype(dtype), "s": random.standard_normal(()).astype(dtype),
         "e": np.zeros((0, 4), dtype), "n": random.integers(-5, 5, ()).astype("i8")}
        for _ in range(count)
    ]  # fmt: skip
    examples = [int(n) for n in random.integers(1, 5000, count)]
    made = frozen(updates, examples=examples, max_examples=1000)
    order = list(range(count))

    whole = summed(made, order)

    rng.shuffle(order)
    cut = rng.randint(0, count)
    merged = summed(made, order[cut:])
    merged.merge([summed(made, order[:cut]).tensors])
    assert bits(merged.tensors) == bits(whole.tensors)
    mean = whole.over(averaged_of(made).total_weight)
    weights = np.array([min(n, 1000) for n in examples], np.float64)
    plain = np.tensordot(weights, np.stack([u["w"].astype("f8") for u in updates]), 1) / weights.sum()
    assert np.abs(mean["w"] - plain.reshape(-1)).max() <= 1e-9 * scale * 4
    assert mean["n"] == max(u["n"] for u in updates)


def moved(base: Array, made: Made, name: str = "w") -> Array:
    """A tensor of the base after a plain step."""
    return advance(base, made.aggregate()[name].reshape(base.shape), PLAIN, None)[0]


def test_a_mean_by_hand() -> None:
    made = frozen([{"w": np.array([1.0, 2.0], "f4")}, {"w": np.array([4.0, -2.0], "f4")}], examples=[1, 3])
    # (1*1 + 3*4)/4 = 3.25 and (1*2 - 3*2)/4 = -1.
    assert moved(np.array([10, 20], "f4"), made).tolist() == [13.25, 19.0]


def test_weights_are_capped_or_uniform() -> None:
    updates = [{"w": np.ones(1, "f4")}, {"w": np.ones(1, "f4")}]
    assert frozen(updates, examples=[10, 10**9], max_examples=1000).manifest.total_weight == 1010
    assert frozen(updates, examples=[10, 10**9], weighting="uniform").manifest.total_weight == 2


def test_no_change_at_all_is_an_aggregate_too() -> None:
    base = np.array([1, 2, 3], "f4")
    assert (moved(base, frozen([{"w": np.zeros(3, "f4")}])) == base).all()


@pytest.mark.parametrize(("base", "delta", "expected"), [(250, 10, 255), (-100, -100, -128), (5, 3, 8)])
def test_counters_are_held_at_the_ends_of_their_dtype(base: int, delta: int, expected: int) -> None:
    dtype = np.uint8 if base > 127 else np.int8
    assert advance(np.array([base], dtype), np.array([delta]), PLAIN, None)[0].tolist() == [expected]


def test_float16_is_summed_in_float64_and_does_not_overflow_on_the_way() -> None:
    made = frozen([{"w": np.array([60000.0], "f2")} for _ in range(50)], examples=[1000] * 50)
    assert moved(np.zeros(1, "f2"), made) == 60000


def test_a_manifest_is_one_byte_sequence_and_reads_back() -> None:
    manifest = frozen([{"w": np.ones(2, "f4")}, {"w": np.full(2, 8.0, "f4")}], encodings=["plain", "int8"]).manifest
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 2]), st.sampled_from([1 << 10, 1 << 13, 1 << 15]))
def test_neither_groups_nor_threads_nor_the_size_of_blocks_change_a_bit(count: int, seed: int, threads: int, row: int) -> None:
    random = np.random.default_rng(seed)
    updates = [{"w": (random.standard_normal(20_000) * 10.0 ** random.integers(-6, 6)).astype("f4")} for _ in range(count)]
    made = frozen(updates, examples=[int(n) for n in random.integers(1, 5000, count)], encodings=["plain", "int8", "bfloat16"])
    one_by_one = summed(made, list(range(count)))
    chosen, averaged = grids(averaged_of(made), made.schema), averaged_of(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muster.aggregation.sums.ROW", row)
        patch.setattr("muster.aggregation.threads.THREADS", threads)
        peaks = Peaks(schema=made.schema, start=0, stop=20_000, grids=chosen, averaged=averaged)
        peaks.add(made.group(range(count)), averaged)
        together = Sums(schema=made.schema, start=0, stop=20_000, grids=chosen, peaks=peaks.exponents())
        together.add(made.group(range(count)), averaged)
    assert bits(together.tensors) == bits(one_by_one.tensors)
