"""The weighted mean: a small algebra with one law, and its edge cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.plan import by_clients
from muster.aggregation.registry import PseudoGradient
from muster.aggregation.rules.mean import Grids, Sums
from muster.aggregation.rules.optimizers import Sgd
from muster.aggregation.server import advance
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode, schema_of
from muster.wire.gate import measure
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header

REF = CheckpointRef(0, "0" * 64, 100, 50, 10, 1000)


def manifest_of(updates: list[dict[str, Any]], examples: list[int], **rules: Any) -> Manifest:
    schema = schema_of(updates[0])
    accepted = []
    for number, (update, n) in enumerate(zip(updates, examples, strict=True)):
        data = encode(update)
        measured = measure(memoryview(data), parse_header(data, HEADER_LIMIT_BYTES), schema)
        accepted.append(
            (Entry(f"client-{number:03d}", f"k{number}", "etag", "0" * 64, len(data), n, measured.norm), measured.exponents)
        )
    config = RoundConfig(**{"goal": 10_000, "quorum": 1, "max_examples": 1000, **rules})
    return freeze("m.1", REF, config, None, None, accepted)


def apply(base: dict[str, Any], sums: Sums, total_weight: int, learning_rate: float) -> dict[str, Any]:
    """The new model after a plain step."""
    return advance(base, sums.over(total_weight), Sgd(learning_rate), None)[0]


def summed(manifest: Manifest, updates: list[dict[str, Any]], order: list[int]) -> Sums:
    schema = schema_of(updates[0])
    grids = Grids.of(manifest, schema)
    sums = Sums.empty(schema)
    for number in order:
        sums.add([updates[number]], [manifest.weight(manifest.entries[number])], grids)
    return sums


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(["f2", "f4", "f8"]), st.randoms(use_true_random=False))
def test_merge_of_the_parts_is_the_whole_to_the_last_bit(count: int, seed: int, dtype: str, rng: Any) -> None:
    made = np.random.default_rng(seed)
    scale = made.choice([1e-4, 1.0, 1e4])
    updates = [
        {"w": (made.standard_normal((3, 2)) * scale).astype(dtype), "s": made.standard_normal(()).astype(dtype),
         "e": np.zeros((0, 4), dtype), "n": made.integers(-5, 5, ()).astype("i8")}
        for _ in range(count)
    ]  # fmt: skip
    examples = [int(n) for n in made.integers(1, 5000, count)]
    manifest = manifest_of(updates, examples)
    order = list(range(count))

    whole = summed(manifest, updates, order)

    rng.shuffle(order)
    cut = rng.randint(0, count)
    merged = summed(manifest, updates, order[cut:])
    merged.merge(summed(manifest, updates, order[:cut]))
    assert encode(merged.tensors) == encode(whole.tensors)
    base = {name: np.zeros_like(array) for name, array in updates[0].items()}
    moved = apply(base, whole, manifest.total_weight, 1.0)
    weights = np.array([min(n, 1000) for n in examples], np.float64)
    plain = np.tensordot(weights, np.stack([u["w"].astype("f8") for u in updates]), 1) / weights.sum()
    tolerance = {"f2": 2e-3, "f4": 1e-6, "f8": 1e-9}[dtype] * scale * 4
    assert np.abs(moved["w"].astype("f8") - plain).max() <= tolerance
    assert moved["n"] == max(u["n"] for u in updates)


def test_a_mean_by_hand() -> None:
    updates = [{"w": np.array([1.0, 2.0], "f4")}, {"w": np.array([4.0, -2.0], "f4")}]
    manifest = manifest_of(updates, [1, 3])
    moved = apply({"w": np.array([10, 20], "f4")}, summed(manifest, updates, [0, 1]), manifest.total_weight, 0.5)
    # (1*1 + 3*4)/4 = 3.25 and (1*2 - 3*2)/4 = -1, half of it added.
    assert moved["w"].tolist() == [11.625, 19.5]


def test_weights_are_capped_or_uniform() -> None:
    updates = [{"w": np.ones(1, "f4")}, {"w": np.ones(1, "f4")}]
    assert manifest_of(updates, [10, 10**9]).total_weight == 1010
    assert manifest_of(updates, [10, 10**9], weighting="uniform").total_weight == 2


def test_no_change_at_all_is_an_aggregate_too() -> None:
    updates = [{"w": np.zeros(3, "f4")}]
    base = {"w": np.array([1, 2, 3], "f4")}
    assert (apply(base, summed(manifest_of(updates, [5]), updates, [0]), 5, 1.0)["w"] == base["w"]).all()


@pytest.mark.parametrize(("base", "delta", "expected"), [(250, 10, 255), (-100, -100, -128), (5, 3, 8)])
def test_counters_are_held_at_the_ends_of_their_dtype(base: int, delta: int, expected: int) -> None:
    dtype = np.uint8 if base > 127 else np.int8
    gradient = PseudoGradient({}, {"n": np.array([delta], np.int64)})
    assert advance({"n": np.array([base], dtype)}, gradient, Sgd(), None)[0]["n"].tolist() == [expected]


def test_float16_is_summed_in_float64_and_does_not_overflow_on_the_way() -> None:
    updates = [{"w": np.array([60000.0], "f2")} for _ in range(50)]
    manifest = manifest_of(updates, [1000] * 50)
    assert apply({"w": np.zeros(1, "f2")}, summed(manifest, updates, list(range(50))), manifest.total_weight, 1.0)["w"] == 60000


def test_a_manifest_is_one_byte_sequence_and_reads_back() -> None:
    updates = [{"w": np.ones(2, "f4")}, {"w": np.full(2, 8.0, "f4")}]
    manifest = manifest_of(updates, [3, 4])
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert manifest.exponents == (4,)


@given(st.integers(1, 60), st.integers(1, 5000))
def test_a_plan_covers_every_entry_once_and_bounds_each_part(count: int, part_bytes: int) -> None:
    updates = [{"w": np.ones(2, "f4")}] * count
    manifest = manifest_of(updates, [1] * count)
    parts = by_clients(manifest, schema_of(updates[0]), part_bytes)
    assert [entry for part in parts for entry in part.entries(manifest)] == list(manifest.entries)
    assert len({part.name for part in parts}) == len(parts)
    largest = manifest.entries[0].nbytes
    assert all(1 <= len(part.entries(manifest)) <= max(1, part_bytes // largest) for part in parts)


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 2]), st.sampled_from([64, 512, 1 << 22]))
def test_neither_groups_nor_threads_nor_the_size_of_blocks_change_a_bit(
    count: int, seed: int, threads: int, scratch: int
) -> None:
    made = np.random.default_rng(seed)
    updates = [{"w": (made.standard_normal(300) * 10.0 ** made.integers(-6, 6)).astype("f4")} for _ in range(count)]
    manifest = manifest_of(updates, [int(n) for n in made.integers(1, 5000, count)])
    schema, weights = schema_of(updates[0]), [manifest.weight(entry) for entry in manifest.entries]
    one_by_one, together = summed(manifest, updates, list(range(count))), Sums.empty(schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("muster.aggregation.rules.mean.SCRATCH_BYTES", scratch * count)
        together.add(updates, weights, Grids.of(manifest, schema), None, threads)
    assert together.tensors["w"].tobytes() == one_by_one.tensors["w"].tobytes()
