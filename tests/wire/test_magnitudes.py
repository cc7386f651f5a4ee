"""What inspection says of an update's size and spread, and how it is packed: safe to be wrong on one side only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.wire.gate import NORM_LIMIT, ZERO_EXPONENT, exponent_of
from muster.wire.magnitudes import GROUPS, UNKNOWN, UNKNOWN_LEVEL, MagnitudeTable, packed
from muster.wire.spread import ALL_BELOW, NO_LEVEL, SPOILED, Spread

pairs = st.lists(st.tuples(st.just(ZERO_EXPONENT) | st.integers(-1080, 107), st.integers(-1200, 100)), min_size=1, max_size=700)


def level_of(values: np.ndarray) -> int:
    spread = Spread(values.size)
    for start in range(0, values.size, 1000):
        spread.add(values[start : start + 1000])
    return spread.level


@given(st.lists(pairs, min_size=1, max_size=4).filter(lambda rows: len({len(row) for row in rows}) == 1))
def test_no_exponent_is_read_back_too_small_and_no_level_too_high(updates: list[list[tuple[int, int]]]) -> None:
    texts = [packed([e for e, _ in update], [level for _, level in update]) for update in updates]
    table = MagnitudeTable(texts, len(updates[0]))
    assert len(table) == min(GROUPS, len(updates[0]))
    for tensor, group in enumerate(table.groups):
        exponents, levels = table.column(group)
        for number, update in enumerate(updates):
            if update[tensor][0] != ZERO_EXPONENT:
                assert exponents[number] >= update[tensor][0]
                assert levels[number] <= update[tensor][1]
                if len(update) <= GROUPS and -147 <= update[tensor][0] < 107 and -180 < update[tensor][1] <= 75:
                    assert (exponents[number], levels[number]) == update[tensor]
            elif len(update) <= GROUPS:
                assert (exponents[number], levels[number]) == (ZERO_EXPONENT, NO_LEVEL)


def test_an_update_that_was_not_measured_may_be_anything_that_passes_the_gate() -> None:
    exponents, levels = MagnitudeTable([UNKNOWN, packed([3], [-9])], 1).column(0)
    assert exponents[0] >= exponent_of(128 * NORM_LIMIT)
    assert levels.tolist() == [UNKNOWN_LEVEL, -9]


def test_the_text_of_any_model_is_short() -> None:
    assert len(packed([5] * 20_000, [-9] * 20_000)) == -(-2 * GROUPS // 3) * 4


def test_levels_by_hand() -> None:
    # All alike: an error of 2**-11 of it spoils one in 2,048.
    assert level_of(np.full(5000, -1.0)) == -11
    assert level_of(np.full(5000, 1000.0)) == 9 - 11
    # One in 1,024 is tiny: too many to give up. One bit lower half of them would be spoiled, and a few of the others.
    assert level_of(np.array([1.0] * 1023 + [2.0**-40])) == -40 - 2
    # One in 4,096 may be spoiled, and leaves half of the room to the others.
    assert level_of(np.array([1.0] * 4095 + [2.0**-40])) == -12
    assert level_of(np.zeros(10)) == NO_LEVEL
    assert level_of(np.array([0.0] * 100_000 + [1.0] * 7000)) == -11


@pytest.mark.parametrize("size", [3000, 200_000])
@pytest.mark.parametrize("sigma", [0.5, 2.0, 4.0])
def test_errors_up_to_the_level_spoil_no_more_than_the_share_that_is_given_up(size: int, sigma: float) -> None:
    values = np.random.default_rng(0).lognormal(0, sigma, size)
    level = level_of(values)
    spoiled = [float(np.minimum(1.0, 2.0**e / values).mean()) for e in (level, level + 2)]
    assert spoiled[0] <= SPOILED * (1.0 if size <= ALL_BELOW else 1.3)
    assert spoiled[1] > SPOILED, "and it is not much lower than it must be"
