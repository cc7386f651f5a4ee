"""Adapters: what comes out is the best approximation of the mean of products, whoever sends what in which order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation.manifest import Manifest
from muster.aggregation.registry import TooManyUpdates, Unsuitable, find_aggregator, find_optimizer
from muster.aggregation.replay import replay
from muster.wire.arrays import Array, decode, encode, schema_of
from muster.wire.encodings import Encoding
from muster.wire.refs import digest
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit
from tests.aggregation import reference
from tests.aggregation.making import LIMITS, Made, Tensors, bits, frozen, rule

LORA = rule("lora")
SHAPES = st.tuples(st.integers(1, 6), st.integers(0, 20), st.integers(0, 30))
"""A rank, and by how much outputs and inputs are more than that."""


def base_of(rank: int, outputs: int, inputs: int, rng: np.random.Generator, dtype: str = "f4") -> Tensors:
    """A model of two layers with adapters, a bias and a counter."""
    made: Tensors = {"n": np.array(3, "i8"), "between.bias": rng.standard_normal(outputs).astype(dtype)}
    for layer in ("attention", "mlp.down"):
        made[layer + ".A"] = rng.standard_normal((rank, inputs)).astype(dtype)
        made[layer + ".B"] = rng.standard_normal((outputs, rank)).astype(dtype)
    return made


def trained(base: Tensors, rng: np.random.Generator, rank: int | None = None, far: float = 0.3) -> Tensors:
    """An update: what a device with adapters of this rank sends, whose own are noise around the base's."""
    sent: Tensors = {}
    for name, array in base.items():
        if array.dtype.kind != "f":
            sent[name] = np.array(2, array.dtype)
            continue
        sent[name] = (far * rng.standard_normal(array.shape)).astype(array.dtype)
        if rank is not None and name.endswith(".A"):
            sent[name][rank:] = -array[rank:]
        if rank is not None and name.endswith(".B"):
            sent[name][:, rank:] = -array[:, rank:]
    return sent


def products(base: Tensors, updates: Sequence[Tensors], layer: str = "attention") -> list[reference.Matrix]:
    """B A of each device, in float64."""
    found = []
    for update in updates:
        a, b = (base[layer + end].astype("f8") + update[layer + end].astype("f8") for end in (".A", ".B"))
        found.append(b @ a)
    return found


def product_of(base: Tensors, moves: dict[str, Array], layer: str = "attention") -> reference.Matrix:
    """B A of the pseudo-gradient applied to the base, in float64."""
    a, b = (base[layer + end] + moves[layer + end].reshape(base[layer + end].shape) for end in (".A", ".B"))
    found: reference.Matrix = b @ a
    return found


def error(found: reference.Matrix, wanted: reference.Matrix) -> float:
    """Relative, Frobenius."""
    return float(np.linalg.norm(found - wanted) / (np.linalg.norm(wanted) or 1.0))


@settings(max_examples=40)
@given(SHAPES, st.integers(1, 8), st.integers(0, 2**32 - 1), st.sampled_from(["f4", "f8"]))
def test_the_product_is_the_best_approximation_of_the_mean_of_products(
    shape: tuple[int, int, int], count: int, seed: int, dtype: str
) -> None:
    rank, outputs, inputs = shape[0], shape[0] + shape[1], shape[0] + shape[2]
    rng = np.random.default_rng(seed)
    base = base_of(rank, outputs, inputs, rng, dtype)
    updates = [trained(base, rng, int(rng.integers(1, rank + 1))) for _ in range(count)]
    weights = [1 + number % 7 for number in range(count)]
    moves = frozen(updates, LORA).aggregate(base=base)
    for layer in ("attention", "mlp.down"):
        whole = reference.mean([one.ravel() for one in products(base, updates, layer)], weights).reshape(outputs, inputs)
        best = reference.best_of_rank(whole, rank)
        found = product_of(base, moves, layer)
        assert error(found, whole) <= error(best, whole) + 1e-6
        if np.linalg.matrix_rank(whole) <= rank:
            assert error(found, whole) <= 1e-6
    biases = [update["between.bias"].astype("f8") for update in updates]
    np.testing.assert_allclose(moves["between.bias"], reference.mean(biases, weights), rtol=1e-6, atol=1e-9)
    assert moves["n"] == [2]


def test_by_hand_two_devices_that_learnt_the_same_with_opposite_signs() -> None:
    """Averaged apart, A and B would both be 0."""
    base: Tensors = {"l.A": np.zeros((1, 2), "f4"), "l.B": np.zeros((2, 1), "f4")}
    one: Tensors = {"l.A": np.array([[3, 4]], "f4"), "l.B": np.array([[0], [2]], "f4")}
    other: Tensors = {name: -array for name, array in one.items()}
    moves = frozen([one, other], LORA).aggregate(base=base)
    # B A = [[0, 0], [6, 8]] of both; A' is a unit vector, of which the largest component is positive.
    np.testing.assert_allclose(moves["l.A"], [0.6, 0.8], rtol=1e-15)
    np.testing.assert_allclose(moves["l.B"], [0.0, 10.0], rtol=1e-15)


@settings(max_examples=25)
@given(SHAPES, st.integers(2, 9), st.integers(0, 2**32 - 1), st.sampled_from(list(LIMITS)), st.randoms(use_true_random=False))
def test_neither_order_nor_names_nor_parts_change_a_bit(
    shape: tuple[int, int, int], count: int, seed: int, parts: int | str, draw: random.Random
) -> None:
    rng = np.random.default_rng(seed)
    base = base_of(shape[0], shape[0] + shape[1], shape[0] + shape[2], rng)
    updates = [trained(base, rng) for _ in range(count)]
    updates[-1] = updates[0]
    examples = [draw.randint(1, 9) for _ in range(count)]
    kinds: list[Encoding] = [draw.choice(["plain", "float16", "int8"]) for _ in range(count)]
    whole = frozen(updates, LORA, 5.0, examples=examples, encodings=kinds).aggregate(base=base)
    order = draw.sample(range(count), count)
    shuffled = frozen(
        [updates[at] for at in order],
        LORA,
        5.0,
        examples=[examples[at] for at in order],
        encodings=[kinds[at] for at in order],
    )
    assert bits(shuffled.aggregate(LIMITS[parts], base)) == bits(whole)


@pytest.mark.parametrize("count", [1, 4])
def test_clipping_scales_what_was_sent_before_it_is_multiplied(count: int) -> None:
    rng = np.random.default_rng(2)
    base = base_of(3, 9, 8, rng)
    updates = [trained(base, rng) for _ in range(count)]
    made = frozen(updates, LORA, 1.5, weighting="uniform")
    factors = [made.manifest.factor(entry) for entry in made.manifest.entries]
    assert max(factors) < 1.0
    clipped = [{name: factor * one[name].astype("f8") for name in one} for one, factor in zip(updates, factors, strict=True)]
    best = reference.best_of_rank(np.mean(products(base, clipped), axis=0), 3)
    assert error(product_of(base, made.aggregate(base=base)), best) < 1e-7


def test_a_version_is_replayed_to_the_same_bytes_and_its_product_is_right_in_float32() -> None:
    rng = np.random.default_rng(4)
    base = base_of(4, 30, 20, rng)
    updates = [trained(base, rng, number) for number in (1, 2, 4, 4)]
    made = frozen(updates, LORA, weighting="uniform")
    file = encode(base)
    manifest = published(made, file)
    versions = [replay(manifest, file, {}, made.load, LIMITS[parts])["model"] for parts in (1, "most")]
    assert versions[0] == versions[1]
    model = decode(versions[0], HEADER_LIMIT_BYTES)
    best = reference.best_of_rank(np.mean(products(base, updates), axis=0), 4)
    assert error(model["attention.B"].astype("f8") @ model["attention.A"].astype("f8"), best) < 1e-6


def published(made: Made, base: bytes) -> Manifest:
    return replace(made.manifest, base=replace(made.manifest.base, sha256=digest(base)))


# ---- what hostile or odd devices send


def of_layer(a: Any, b: Any) -> Tensors:
    return {"l.A": np.array(a, "f4"), "l.B": np.array(b, "f4")}


def test_a_giant_times_a_tiny_number_is_an_ordinary_one_and_takes_nothing_from_the_others() -> None:
    rng = np.random.default_rng(5)
    base = of_layer(np.zeros((4, 12)), np.zeros((10, 4)))
    honest = [of_layer(rng.standard_normal((4, 12)), rng.standard_normal((10, 4))) for _ in range(3)]
    hostile = of_layer(1e28 * rng.standard_normal((4, 12)), 1e-28 * rng.standard_normal((10, 4)))
    moves = frozen([*honest, hostile], LORA, weighting="uniform").aggregate(base=base)
    best = reference.best_of_rank(np.mean(products(base, [*honest, hostile], "l"), axis=0), 4)
    assert error(product_of(base, moves, "l"), best) < 1e-9


def test_a_product_beyond_the_models_bound_is_no_version() -> None:
    base = of_layer(np.zeros((1, 2)), np.zeros((2, 1)))
    made = frozen([of_layer([[1e29, 0]], [[1e29], [0]])], LORA)
    assert np.isfinite(made.aggregate(base=base)["l.B"]).all()
    file = encode(base)
    with pytest.raises(Unfit, match="not-finite"):
        replay(published(made, file), file, {}, made.load)


def test_where_nothing_was_learnt_the_product_stays_zero_and_rows_of_a_stay_to_learn_from() -> None:
    rng = np.random.default_rng(6)
    base = of_layer(rng.standard_normal((3, 7)), np.zeros((5, 3)))
    moves = frozen([of_layer(np.zeros((3, 7)), np.zeros((5, 3)))] * 3, LORA).aggregate(base=base)
    assert not moves["l.B"].any()
    rows = base["l.A"] + moves["l.A"].reshape(3, 7)
    np.testing.assert_allclose(rows @ rows.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rows @ np.linalg.pinv(base["l.A"]) @ base["l.A"], rows, atol=1e-6, err_msg="the same span")


def test_devices_that_learnt_the_opposite_of_each_other_leave_nothing_and_can_go_on() -> None:
    rng = np.random.default_rng(9)
    base = of_layer(np.zeros((2, 5)), np.zeros((4, 2)))
    one = of_layer(rng.standard_normal((2, 5)), rng.standard_normal((4, 2)))
    other = {"l.A": one["l.A"], "l.B": -one["l.B"]}
    moves = frozen([one, other], LORA, weighting="uniform").aggregate(base=base)
    assert np.abs(moves["l.B"]).max() < 1e-14
    rows = moves["l.A"].reshape(2, 5)
    np.testing.assert_allclose(rows @ rows.T, np.eye(2), atol=1e-12)


def test_a_base_whose_rows_are_zero_gets_rows_to_learn_from() -> None:
    base = of_layer(np.zeros((2, 3)), np.zeros((4, 2)))
    moves = frozen([of_layer(np.zeros((2, 3)), np.ones((4, 2)))], LORA).aggregate(base=base)
    assert moves["l.A"].tolist() == [1, 0, 0, 0, 1, 0]
    assert not moves["l.B"].any()


def test_the_smallest_numbers_there_are_make_no_trouble() -> None:
    base = of_layer(np.zeros((2, 3)), np.zeros((4, 2)))
    tiny = of_layer(np.full((2, 3), 1e-45), np.full((4, 2), 1e-45))
    moves = frozen([tiny], LORA).aggregate(base=base)
    assert error(product_of(base, moves, "l"), products(base, [tiny], "l")[0]) < 1e-6
    wide: Tensors = {"l.A": np.full((2, 3), 5e-324), "l.B": np.full((4, 2), 5e-324)}
    zeros: Tensors = {name: np.zeros_like(array) for name, array in wide.items()}
    found = frozen([wide, zeros], LORA).aggregate(base=zeros)
    assert all(np.isfinite(array).all() for array in found.values())


@pytest.mark.parametrize("rank", [2, 5])
def test_of_equal_singular_values_some_are_kept_always_the_same(rank: int) -> None:
    """The best approximation is not unique, how good it is, is."""
    size = 40
    orthogonal = np.linalg.qr(np.random.default_rng(7).standard_normal((size, size)))[0]
    base: Tensors = {"l.A": np.zeros((rank, size)), "l.B": np.zeros((size, rank))}
    updates: list[Tensors] = [
        {"l.A": np.eye(size)[at : at + rank], "l.B": orthogonal[:, at : at + rank]} for at in range(0, size, rank)
    ]
    whole: reference.Matrix = np.mean(products(base, updates, "l"), axis=0)
    found = [
        product_of(base, frozen(several, LORA, weighting="uniform").aggregate(base=base), "l")
        for several in (updates, updates[::-1])
    ]
    assert found[0].tobytes() == found[1].tobytes()
    assert error(found[0], whole) == pytest.approx(np.sqrt(1 - rank / size), abs=1e-9)


def test_updates_in_every_encoding_are_what_they_decode_to() -> None:
    rng = np.random.default_rng(8)
    base = base_of(2, 40, 50, rng)
    updates = [trained(base, rng) for _ in range(5)]
    plain = product_of(base, frozen(updates, LORA).aggregate(base=base))
    for encoding, far in (("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 1e-2)):
        kinds: list[Any] = [encoding]
        assert 0 < error(product_of(base, frozen(updates, LORA, encodings=kinds).aggregate(base=base)), plain) < far


# ---- what is refused


def of(**shapes: tuple[int, ...]) -> Any:
    return schema_of({name.replace("_", "."): np.zeros(shape, "f4") for name, shape in shapes.items()})


SPELT = {
    "PEFT": ("base_model.model.{}.lora_A.default.weight", "base_model.model.{}.lora_B.default.weight"),
    "PEFT, saved": ("{}.lora_A.weight", "{}.lora_B.weight"),
    "PEFT, two adapters": ("{}.lora_A.mine.weight", "{}.lora_B.mine.weight"),
    "PEFT, of an embedding": ("{}.lora_embedding_A.default", "{}.lora_embedding_B.default"),
}


@pytest.mark.parametrize("spelling", SPELT)
def test_adapters_are_found_however_they_are_spelt(spelling: str) -> None:
    names = dict(zip((".A", ".B"), SPELT[spelling], strict=True))

    def spelt(tensors: Tensors) -> Tensors:
        return {names[name[-2:]].format(name[:-2]) if name[-2:] in names else name: tensors[name] for name in tensors}

    rng = np.random.default_rng(5)
    base = base_of(2, 6, 5, rng)
    updates = [trained(base, rng) for _ in range(3)]
    ours = frozen(updates, LORA).aggregate(base=base)
    theirs = frozen([spelt(update) for update in updates], LORA).aggregate(base=spelt(base))
    again = dict(zip(base, (theirs[name] for name in spelt(base)), strict=True))
    for layer in ("attention", "mlp.down"):
        assert error(product_of(base, again, layer), product_of(base, ours, layer)) < 1e-12
    assert (again["between.bias"] == ours["between.bias"]).all()


def mixed(a: str, b: str) -> Any:
    return schema_of({"l.A": np.zeros((2, 8), a), "l.B": np.zeros((8, 2), b)})


BAD: dict[str, tuple[Any, str]] = {
    "no pair": (of(w=(3, 2)), r"expected pairs '<layer>.A' of \(rank, inputs\).*, got none"),
    "half a pair": (of(l_A=(2, 8), w=(3,)), "tensor 'l.A': expected its other half 'l.B', got none"),
    "the other half": (of(l_B=(8, 2)), "tensor 'l.B': expected its other half 'l.A', got none"),
    "no matrix": (of(l_A=(2, 8, 1), l_B=(8, 2)), r"tensor 'l.A': expected the shape \(rank, inputs\), got \[2, 8, 1\]"),
    "nothing": (of(l_A=(0, 8), l_B=(8, 0)), r"tensor 'l.A': expected the shape"),
    "two ranks": (of(l_A=(2, 8), l_B=(8, 3)), r"tensor 'l.B': expected as many columns as 'l.A' has rows \(2\), got 3"),
    "too large a rank": (of(l_A=(9, 8), l_B=(20, 9)), "'l': expected a rank of at most 8, the shorter side, got 9"),
    "far too large": (of(l_A=(129, 999), l_B=(999, 129)), "'l': expected a rank of at most 128, for any layer, got 129"),
    "a long layer": (of(l_A=(2, 65_537), l_B=(8, 2)), "'l': expected at most 65,536 inputs or outputs, got 65,537"),
    "too much": (of(l_A=(64, 40_000), l_B=(40_000, 64)), "'l', of 100 updates: expected at most 512 MiB as float64, got 3,907"),
    "half of PEFT's": (
        schema_of({"l.lora_A.default.weight": np.zeros((2, 8), "f4"), "l.lora_B.other.weight": np.zeros((8, 2), "f4")}),
        "tensor 'l.lora_A.default.weight': expected its other half 'l.lora_B.default.weight', got none",
    ),
    "counters": (mixed("i8", "i8"), "'l.A': expected a float parameter, got I64"),
    "two dtypes": (mixed("f4", "f2"), "the adapters of 'l': expected one dtype, got F32 and F16"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_model_that_does_not_suit_is_refused_in_a_clear_sentence(case: str) -> None:
    schema, told = BAD[case]
    lora: Any = find_aggregator(LORA)
    with pytest.raises(Unsuitable, match=told):
        lora.check_model(schema, 100)


@pytest.mark.parametrize(
    "optimizer",
    [rule("adam"), rule("sgd", learning_rate=0.5), rule("sgd", momentum=0.9), rule("yogi"), rule("adagrad")],
    ids=str,
)
def test_an_optimizer_that_would_move_the_tensors_of_a_pair_apart_is_refused(optimizer: Any) -> None:
    lora: Any = find_aggregator(LORA)
    lora.check_optimizer(find_optimizer(rule("sgd")))
    with pytest.raises(Unsuitable, match="lora replaces each pair as a whole: expected sgd with a learning_rate of 1"):
        lora.check_optimizer(find_optimizer(optimizer))
    base = of_layer(np.zeros((1, 2)), np.zeros((2, 1)))
    with pytest.raises(Unsuitable, match="as a whole"):
        frozen([base], LORA, optimizer=optimizer).aggregate(base=base)


def test_more_updates_than_can_be_held_are_refused() -> None:
    find_aggregator(LORA).check(2000)
    with pytest.raises(TooManyUpdates, match="at most 2000"):
        find_aggregator(LORA).check(2001)


def test_without_the_base_there_is_no_product() -> None:
    base = of_layer(np.zeros((1, 2)), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="needs the base's values"):
        frozen([base], LORA).aggregate()
