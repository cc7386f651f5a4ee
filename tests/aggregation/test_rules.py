"""Every rule against its plain reference, in any number of parts; and what each refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.aggregation import registry
from muster.aggregation.clipping import first_norm, next_norm
from muster.aggregation.registry import TooFewUpdates, TooManyUpdates, UnknownRule
from muster.aggregation.rules.krum import nearest
from muster.aggregation.server import advance
from muster.http.errors import Refused
from muster.wire.admin import Clipping, Rule
from muster.wire.problems import Problem
from tests.aggregation import reference
from tests.aggregation.making import LIMITS, Tensors, bits, flat, frozen, made, result, rule
from tests.fleet import World

CASES = st.tuples(st.integers(3, 12), st.integers(0, 2**32 - 1), st.sampled_from(["f2", "f4", "f8"]))
TOLERANCE = {"f2": 1e-3, "f4": 1e-6, "f8": 1e-12}


def by_digest(updates: Sequence[Tensors]) -> list[int]:
    """The numbers of some updates in the order of their digests."""
    entries = frozen(updates).manifest.entries
    return sorted(range(len(entries)), key=lambda number: entries[number].sha256)


def same(found: reference.Vector, expected: reference.Vector, updates: Sequence[Tensors], dtype: str = "f8") -> None:
    largest = max(float(np.abs(flat(update)).max()) for update in updates) or 1.0
    assert np.abs(found - expected).max() <= TOLERANCE["f8" if dtype == "f8" else dtype] * largest


@settings(max_examples=40)
@given(CASES, st.sampled_from(list(LIMITS)))
def test_every_aggregator_is_its_reference_in_any_number_of_parts(case: tuple[int, int, str], parts: int | str) -> None:
    count, seed, dtype = case
    updates = made(count, seed, dtype)
    vectors, weights = [flat(update) for update in updates], [1 + number % 7 for number in range(count)]
    trim, byzantine = (count - 1) // 2, (count - 3) // 2
    ties = by_digest(updates)
    expected = [
        (rule("mean"), reference.mean(vectors, weights)),
        (rule("median"), reference.median(vectors)),
        *([(rule("trimmed-mean", trim=trim), reference.trimmed_mean(vectors, trim))] if trim else []),
        (rule("krum", byzantine=byzantine), reference.multi_krum(vectors, byzantine, 1, ties)),
        (rule("multi-krum", byzantine=byzantine), reference.multi_krum(vectors, byzantine, count - byzantine - 2, ties)),
    ]  # fmt: skip
    for aggregator, plain in expected:
        round_ = frozen(updates, aggregator)
        whole = round_.aggregate()
        same(result(whole, updates[0]), plain, updates)
        assert bits(round_.aggregate(LIMITS[parts])) == bits(whole), f"{aggregator.name} in parts"


@settings(max_examples=25)
@given(st.integers(5, 9), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_no_aggregator_depends_on_who_is_called_what(count: int, seed: int, rng: Any) -> None:
    updates = made(count, seed)
    shuffled = list(updates)
    rng.shuffle(shuffled)
    for aggregator in (rule("median"), rule("trimmed-mean", trim=1), rule("krum", byzantine=0)):
        one, other = (frozen(several, aggregator).aggregate() for several in (updates, shuffled))
        assert bits(one) == bits(other)


@settings(max_examples=25)
@given(CASES, st.floats(0.1, 10.0))
def test_clipping_scales_long_updates_down_and_leaves_the_others(case: tuple[int, int, str], norm: float) -> None:
    count, seed, _ = case
    updates = made(count, seed)
    vectors = [reference.clipped(flat(update), norm) for update in updates]
    weights = [1 + number % 7 for number in range(count)]
    for aggregator, plain in (
        (rule("mean"), reference.mean(vectors, weights)),
        (rule("median"), reference.median(vectors)),
        (rule("multi-krum", byzantine=0, keep=1), reference.multi_krum(vectors, 0, 1, by_digest(updates))),
    ):
        found = result(frozen(updates, aggregator, norm).aggregate(), updates[0])
        same(found, plain, updates, "f4")


def test_an_update_of_zeros_is_clipped_to_zeros() -> None:
    updates: list[Tensors] = [{"w": np.zeros(3, "f4")}, {"w": np.array([3, 0, 4], "f4")}]
    found = frozen(updates, rule("mean"), 1.0).aggregate()
    # Weights 1 and 2; (0 + 2 * [0.6, 0, 0.8]) / 3.
    np.testing.assert_allclose(found["w"], [0.4, 0.0, 1.6 / 3], atol=1e-12)


def test_a_liar_moves_the_mean_and_not_the_median_the_trimmed_mean_or_krum() -> None:
    updates: list[Tensors] = [{"w": np.full(4, 1.0 + number / 100, "f4")} for number in range(9)] + [
        {"w": np.full(4, 1e6, "f4")}
    ]
    moved = {
        aggregator.name: float(np.abs(frozen(updates, aggregator).aggregate()["w"] - 1.04).max())
        for aggregator in (
            rule("mean"), rule("median"), rule("trimmed-mean", trim=1), rule("krum", byzantine=1),
            rule("multi-krum", byzantine=1),
        )
    }  # fmt: skip
    assert moved["mean"] > 1e4
    assert all(distance < 0.05 for name, distance in moved.items() if name != "mean"), moved


def test_a_liars_counter_is_believed_by_the_mean_only() -> None:
    lie = np.iinfo(np.int64).max
    updates: list[Tensors] = [{"w": np.ones(1, "f4"), "n": np.array(number, "i8")} for number in (3, 4, 5, lie)]
    assert frozen(updates, rule("mean")).aggregate()["n"] == lie
    assert frozen(updates, rule("median")).aggregate()["n"] == 4


def test_krum_by_hand_and_of_equals_who_comes_first_among_the_ties() -> None:
    points = np.array([[0.0], [1.0], [1.0], [2.0], [50.0]])
    gram = points @ points.T
    # With f = 1 the two nearest count: scores 2, 1, 1, 2, 48² + 49².
    for ties, first in ([0, 1, 2, 3, 4], 1), ([4, 2, 3, 0, 1], 2):
        assert nearest(gram, 1, 1, ties, [False] * 5) == [first]
        assert nearest(gram, 1, 2, ties, [False] * 5) == [1, 2]
    assert nearest(gram, 1, 2, [0, 1, 2, 3, 4], [False] * 4 + [True]) == [1, 2], "who is far changes no choice"
    assert reference.krum_scores(list(points), 1) == [2, 1, 1, 2, 48**2 + 49**2]


@pytest.mark.parametrize(
    ("aggregator", "count", "needs"),
    [
        (rule("trimmed-mean", trim=2), 4, 5), (rule("krum", byzantine=1), 4, 5), (rule("multi-krum", byzantine=1), 4, 5),
        (rule("multi-krum", byzantine=0, keep=3), 4, 5), (rule("median"), 0, 1),
    ],
)  # fmt: skip
def test_too_few_updates_are_refused_by_name(aggregator: Rule, count: int, needs: int) -> None:
    found = registry.find_aggregator(aggregator)
    with pytest.raises(TooFewUpdates, match=f"needs at least {needs} updates, got {count}"):
        found.check(count)
    found.check(needs)


def test_krum_takes_no_more_updates_than_its_matrix_has_room_for() -> None:
    found = registry.find_aggregator(rule("krum", byzantine=3))
    found.check(2000)
    with pytest.raises(TooManyUpdates, match="takes at most 2000 updates, got 2001"):
        found.check(2001)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("sgd", {"learning_rate": 0.5, "momentum": 0.9}), ("sgd", {"learning_rate": 1.0, "momentum": 0.9, "nesterov": True}),
        ("adagrad", {"learning_rate": 0.1, "beta_1": 0.0, "tau": 1e-3}), ("adam", {}), ("yogi", {"learning_rate": 0.05}),
    ],
)  # fmt: skip
def test_every_optimizer_is_its_reference_step_after_step(kind: str, parameters: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    optimizer = registry.find_optimizer(rule(kind, **parameters))
    filled = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "tau": 1e-3} | parameters
    oracle: Any = (
        reference.Momentum(parameters["learning_rate"], parameters["momentum"], parameters.get("nesterov", False))
        if kind == "sgd"
        else reference.Adaptive(kind, filled["learning_rate"], filled["beta_1"], filled["beta_2"], filled["tau"])
    )
    model, state = rng.standard_normal(6), None
    plain = model.copy()
    for _ in range(5):
        direction = rng.standard_normal(6)
        model, state = advance(model, direction, optimizer, state)
        plain = oracle.step(plain, direction)
        np.testing.assert_allclose(model, plain, rtol=1e-5, atol=1e-6)
        assert {letter: array.dtype for letter, array in state.items()} == dict.fromkeys(optimizer.letters, np.dtype("<f4"))


def test_adam_by_hand() -> None:
    # Δ = 1: m = 0.1, v = 0.99e-6 + 0.01, w = 0.1 * 0.1 / (√v + 0.001).
    optimizer = registry.find_optimizer(rule("adam"))
    model, state = advance(np.zeros(1), np.ones(1), optimizer, None)
    assert state["m"][0] == pytest.approx(0.1)
    assert state["v"][0] == pytest.approx(0.01000099)
    assert model[0] == pytest.approx(0.01 / (math.sqrt(0.01000099) + 0.001))


def test_buffers_take_the_plain_mean_and_no_variance_becomes_negative() -> None:
    optimizer = registry.find_optimizer(rule("adam"))
    variance, nothing = advance(np.array([0.01], "f4"), np.array([-0.005]), optimizer, None, True)
    weight, kept = advance(np.array([1.0], "f4"), np.array([-0.005]), optimizer, None)
    assert variance[0] == pytest.approx(0.005)
    assert weight[0] < 0.98
    assert nothing == {}
    assert kept.keys() == {"m", "v"}


# ---- adaptive clipping


def test_the_norm_follows_the_quantile_of_the_updates_norms() -> None:
    clipping = Clipping(norm=1.0, adaptive=True, quantile=0.5, rate=0.2)
    short: list[Tensors] = [{"w": np.full(1, 0.1 * number, "f4")} for number in range(1, 5)]
    manifest = frozen(short, rule("mean"), 1.0).manifest
    assert next_norm(clipping, manifest) == pytest.approx(math.exp(-0.2 * 0.5), rel=1e-5), "all within: it sinks"
    long: list[Tensors] = [{"w": np.full(1, 10.0 * number, "f4")} for number in range(1, 5)]
    assert next_norm(clipping, frozen(long, rule("mean"), 1.0).manifest) == pytest.approx(math.exp(0.2 * 0.5), rel=1e-5)
    assert next_norm(Clipping(norm=1.0), manifest) is None
    assert next_norm(None, manifest) is None
    assert [first_norm(clipping, 0.7), first_norm(clipping, None)] == [0.7, 1.0]
    assert [first_norm(Clipping(norm=2.0), 0.7), first_norm(None, 0.7)] == [2.0, None]


# ---- names


@pytest.mark.parametrize(
    ("find", "named", "told"),
    [
        (registry.find_aggregator, rule("medain"), "expected one of krum, lora, mean, median"),
        (registry.find_aggregator, rule("trimmed-mean"), "trim: is required"),
        (registry.find_aggregator, rule("trimmed-mean", trim=0), "trim: "),
        (registry.find_aggregator, rule("mean", trim=1), "trim: mean has no such parameter"),
        (registry.find_optimizer, rule("adam", beta_1=1.0), "beta_1: "),
        (registry.find_optimizer, rule("sgd", learning_rate=0.0), "learning_rate: "),
        (registry.find_optimizer, rule("lion"), "expected one of adagrad, adam, sgd, yogi"),
    ],
)
def test_an_unknown_rule_or_parameter_is_refused_by_name(find: Any, named: Rule, told: str) -> None:
    with pytest.raises(UnknownRule, match=told):
        find(named)


def test_two_rules_cannot_have_one_name() -> None:
    registry.names()
    with pytest.raises(ValueError, match="median"):
        registry.aggregator("median")(type("Other", (), {}))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"aggregator": Rule(name="medain")}, "config.aggregator.name"),
        ({"optimizer": Rule(name="sgd", parameters={"momentum": 2.0})}, "config.optimizer.parameters.momentum"),
        ({"aggregator": Rule(name="trimmed-mean", parameters={"trim": 1}), "quorum": 2}, "config.quorum"),
    ],
)
def test_a_model_whose_rounds_could_never_be_aggregated_is_not_created(world: World, config: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        world.model(**config)
    assert refused.value.problem is Problem.INVALID_BODY
    assert list(world.operator.models()) == []
