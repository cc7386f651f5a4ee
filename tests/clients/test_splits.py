"""A split gives everybody their share, stays as it is, and knows nothing of other splits."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from chalicelib.clients.splits import PLACES, arm, hashed, is_among, place

IDS = [f"device-{number:06d}" for number in range(100_000)]


@cache
def places(salt: str) -> list[int]:
    """Of all of them."""
    return [place(salt, client) for client in IDS]


names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=64)


@pytest.mark.parametrize(
    ("salt", "client_id", "expected"),
    [("digits/7", "kitchen-1", 4090552163), ("digits/8", "kitchen-1", 2400399110), ("é", "ü", 994878363), ("", "", 91794203)],
)
def test_the_hash_is_this_one_for_ever(salt: str, client_id: str, expected: int) -> None:
    assert hashed(salt, client_id) == expected


@pytest.mark.parametrize("share", [100, 500, 2_500, 5_000])
def test_of_a_hundred_thousand_clients_as_many_are_among_them_as_should_be(share: int) -> None:
    found = sum(at < share for at in places("digits/7")) / len(IDS)
    assert found == pytest.approx(share / PLACES, abs=0.005)


@pytest.mark.parametrize("weights", [(5_000, 5_000), (1_000, 2_000, 7_000), (9_999, 1), (2_500, 0, 2_500, 5_000)])
def test_each_arm_gets_its_weight(weights: tuple[int, ...]) -> None:
    some = IDS[:20_000]
    found = [0] * len(weights)
    for client in some:
        found[arm("digits/7", client, weights)] += 1
    assert [count / len(some) for count in found] == pytest.approx([weight / PLACES for weight in weights], abs=0.005)


def test_all_places_are_alike() -> None:
    counts = [0] * 100
    for at in places("digits/7"):
        counts[at * 100 // PLACES] += 1
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("other", ["digits/8", "digit/7", "boiler/7", "experiment/colours"])
def test_two_splits_of_one_fleet_are_independent(other: str) -> None:
    table = [[0] * 4 for _ in range(4)]
    for one, two in zip(places("digits/7"), places(other), strict=True):
        table[one * 4 // PLACES][two * 4 // PLACES] += 1
    assert chi2_contingency(table).pvalue > 0.001


@given(names, names, st.integers(0, PLACES), st.integers(0, PLACES))
def test_a_share_that_grows_lets_nobody_go(salt: str, client_id: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert is_among(salt, client_id, high) or not is_among(salt, client_id, low)
    assert not is_among(salt, client_id, 0)
    assert is_among(salt, client_id, PLACES)


@given(names, names, st.lists(st.integers(1, 100), min_size=1, max_size=9))
def test_with_two_arms_the_first_is_who_is_among_its_share_and_every_client_is_in_one(
    salt: str, client_id: str, parts: list[int]
) -> None:
    weights = [PLACES * part // sum(parts) for part in parts]
    weights[-1] += PLACES - sum(weights)
    found = arm(salt, client_id, weights)
    assert sum(weights[:found]) <= place(salt, client_id) < sum(weights[: found + 1])


@pytest.mark.parametrize("weights", [(), (9_999,), (10_001,), (10_001, -1), (5_000, 5_001)])
def test_weights_that_are_no_split_are_refused(weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"sum to 10000, got {list(weights)}")):
        arm("digits/7", "kitchen-1", weights)
