"""An amount in shares: what they hold sums to it, and what is moved between them leaves no place to be given away twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.shares import MOST_SHARES, fullest, home, share, shares_of, transfers, with_room

amounts = st.integers(0, 10**9)
counts = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=MOST_SHARES)


@given(amounts)
def test_what_the_shares_hold_sums_to_the_amount_and_none_is_empty(amount: int) -> None:
    shares = shares_of(amount)
    held = [share(amount, shares, number) for number in range(MOST_SHARES)]
    assert 1 <= shares <= MOST_SHARES
    assert sum(held) == amount
    assert min(held[:shares]) >= min(amount, 1)
    assert max(held[:shares]) - min(held[:shares]) <= 1
    assert not any(held[shares:])


@given(amounts, st.integers(1, MOST_SHARES))
def test_however_many_shares_there_are_they_add_up_and_differ_by_one_at_the_most(amount: int, shares: int) -> None:
    held = [share(amount, shares, number) for number in range(shares)]
    assert sum(held) == amount
    assert max(held) - min(held) <= 1


@pytest.mark.parametrize(("amount", "shares"), [(1, 1), (100, 1), (511, 1), (512, 2), (5_000, 19), (10_000, 39), (10**6, 64)])
def test_small_amounts_have_one_row_and_large_ones_as_many_as_there_may_be(amount: int, shares: int) -> None:
    assert shares_of(amount) == shares


@given(st.text(max_size=64), st.integers(1, MOST_SHARES))
def test_a_client_begins_at_the_same_share_each_time(client_id: str, shares: int) -> None:
    assert 0 <= home(client_id, shares) == home(client_id, shares) < shares


@given(counts, st.text(max_size=8))
def test_a_share_with_room_is_found_if_there_is_one(rows: list[tuple[int, int]], client_id: str) -> None:
    taken, most = zip(*rows, strict=True)
    found = with_room(taken, most, client_id)
    assert (found is None) == all(count >= limit for count, limit in rows)
    assert found is None or taken[found] < most[found]


@given(counts)
def test_after_the_moves_no_share_has_room_while_another_has_too_many(rows: list[tuple[int, int]]) -> None:
    taken, most = zip(*rows, strict=True)
    after = list(taken)
    for move in transfers(taken, most):
        assert move.amount > 0
        assert after[move.source] - move.amount >= most[move.source], "only what is too much goes"
        assert after[move.target] + move.amount <= most[move.target]
        after[move.source] -= move.amount
        after[move.target] += move.amount
    assert sum(after) == sum(taken)
    excess = [count - limit for count, limit in zip(after, most, strict=True)]
    assert min(excess) >= 0 or max(excess) <= 0


@given(counts)
def test_a_place_is_given_back_where_there_are_too_many(rows: list[tuple[int, int]]) -> None:
    taken, most = zip(*rows, strict=True)
    found = fullest(taken, most)
    assert (found is None) == (not any(taken))
    if found is not None:
        assert taken[found] - most[found] == max(count - limit for count, limit in rows if count)
