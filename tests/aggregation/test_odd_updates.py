"""Updates that are in order and yet odd: all zero, negative zero, alone, of every dtype and shape that a model may have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from muster.wire.admin import Rule
from muster.wire.encodings import ENCODINGS, Encoding
from tests.aggregation.making import Tensors, flat, frozen, made, result, rule

RULES = [
    rule("mean"), rule("median"), rule("trimmed-mean", trim=1), rule("krum", byzantine=0), rule("multi-krum", byzantine=1),
]  # fmt: skip


def named(value: Any) -> str:
    return value.name if isinstance(value, Rule) else str(value)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("aggregator", RULES, ids=named)
def test_updates_that_are_all_zero_say_that_nothing_should_move(aggregator: Rule, encoding: Encoding) -> None:
    zeros: Tensors = {name: np.zeros_like(array) for name, array in made(1, 0)[0].items()}
    for clip in (None, 1.0):
        found = frozen([zeros] * 5, aggregator, clip, encodings=[encoding]).aggregate()
        assert not result(found, zeros).any()
        assert found["n"].tolist() == [0]


@pytest.mark.parametrize("aggregator", RULES, ids=named)
def test_one_update_that_is_not_zero_among_zeros_is_counted_as_the_rule_says(aggregator: Rule) -> None:
    zeros, other = np.zeros(3, "f4"), np.array([5, 0, -5], "f4")
    updates: list[Tensors] = [{"w": zeros}] * 4 + [{"w": other}]
    found = frozen(updates, aggregator, examples=[1] * 5).aggregate()["w"]
    assert found.tolist() == ([1, 0, -1] if aggregator.name == "mean" else [0, 0, 0])


@pytest.mark.parametrize("aggregator", [rule("mean"), rule("median")], ids=named)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_of_a_single_client_the_pseudo_gradient_is_its_update(aggregator: Rule, dtype: str) -> None:
    (update,) = made(1, 7, dtype)
    found = frozen([update], aggregator, examples=[10**9]).aggregate()
    largest = np.abs(flat(update)).max()
    assert np.abs(result(found, update) - flat(update)).max() <= largest * 2.0**-38
    assert found["n"].tolist() == [update["n"]]


@pytest.mark.parametrize("aggregator", RULES, ids=named)
def test_a_negative_zero_is_a_zero_and_its_sign_changes_no_bit(aggregator: Rule) -> None:
    plus: list[Tensors] = [{"w": np.array([0.0, value], "f4")} for value in (-1, 1, 2, 3, 4)]
    minus: list[Tensors] = [{"w": np.array([-0.0, value], "f4")} for value in (-1, 1, 2, 3, 4)]
    rounds = (plus, minus, plus[:2] + minus[2:], minus[:2] + plus[2:])
    assert len({frozen(updates, aggregator).aggregate()["w"].tobytes() for updates in rounds}) == 1


@pytest.mark.parametrize("aggregator", RULES, ids=named)
def test_integers_of_every_width_are_counters_and_their_ends_are_no_accident(aggregator: Rule) -> None:
    dtypes = ("i8", "i4", "i2", "i1", "u1")
    ends = {d: np.array([np.iinfo(d).min, np.iinfo(d).max, 1], d) for d in dtypes}
    update: Tensors = {"w": np.ones(1, "f4"), **ends}
    found = frozen([update] * 5, aggregator).aggregate()
    assert {d: found[d].tolist() for d in dtypes} == {d: ends[d].tolist() for d in dtypes}
