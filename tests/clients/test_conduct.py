"""Strikes and quarantines: the rule."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.client import REMEMBERED_ROUNDS, Client, ClientState, Conduct
from chalicelib.clients.conduct import LONGEST_SECONDS, StrikeRule, accepted, released

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = StrikeRule(most=3, first_seconds=3600.0)
CLIENT = Client(
    client_id="c-1", key_hash="h", state=ClientState.ACTIVE, device_type="x", sdk_version="1", enrolled_at=NOW, last_seen_at=NOW
)  # fmt: skip


def struck(client: Client, *rounds: str, at: datetime = NOW, rule: StrikeRule = RULE) -> Client:
    for name in rounds:
        client = rule.struck(client, name, at)
    return client


def conduct(client: Client) -> Conduct:
    assert client.conduct
    return client.conduct


def test_the_third_strike_is_a_quarantine_of_an_hour() -> None:
    assert not struck(CLIENT, "toy.1", "toy.2").is_quarantined(NOW)
    third = struck(CLIENT, "toy.1", "toy.2", "toy.3")
    assert (conduct(third).strikes, conduct(third).quarantines, third.quarantine_left(NOW)) == (3, 1, 3600.0)
    assert third.is_quarantined(NOW + timedelta(seconds=3599))
    assert not third.is_quarantined(NOW + timedelta(hours=1))


def test_a_round_is_a_strike_once() -> None:
    once = struck(CLIENT, "toy.1")
    assert struck(once, "toy.1", "toy.1", "toy.1") == once


def test_a_further_quarantine_is_twice_as_long_and_a_day_at_most() -> None:
    client, now, lasted = struck(CLIENT, "toy.1", "toy.2"), NOW, []
    for number in range(3, 12):
        client = struck(client, f"toy.{number}", at=now)
        lasted.append(client.quarantine_left(now) / 3600)
        now += timedelta(days=2)
    assert lasted == [1, 2, 4, 8, 16, 24, 24, 24, 24]
    assert RULE.seconds(10**9) == LONGEST_SECONDS


def test_a_strike_for_a_place_that_it_had_before_begins_no_further_quarantine() -> None:
    client = struck(CLIENT, "toy.1", "toy.2", "toy.3", "other.1", "third.1")
    assert (conduct(client).strikes, conduct(client).quarantines, client.quarantine_left(NOW)) == (5, 1, 3600.0)


def test_an_accepted_update_clears_the_strikes_and_forgets_no_quarantine() -> None:
    client = accepted(struck(CLIENT, "toy.1", "toy.2", "toy.3"), "toy.4", 7)
    assert (client.rounds, client.samples, conduct(client).strikes, conduct(client).quarantines) == (1, 7, 0, 1)
    assert client.is_quarantined(NOW), "it ends when it ends"
    assert accepted(client, "toy.4", 7) == client
    again = struck(client, "toy.5", "toy.6", "toy.7", at=NOW + timedelta(hours=2))
    assert again.quarantine_left(NOW + timedelta(hours=2)) == 7200


def test_an_accepted_update_that_is_told_again_clears_nothing() -> None:
    client = struck(accepted(CLIENT, "toy.1", 7), "toy.2", "toy.3")
    assert accepted(client, "toy.1", 7) == client


def test_a_client_that_never_sent_a_bad_update_has_no_record() -> None:
    assert accepted(CLIENT, "toy.1", 7).conduct is None


def test_a_release_forgets_all_but_which_rounds_were_counted() -> None:
    client = struck(CLIENT, "toy.1", "toy.2", "toy.3")
    assert released(conduct(client)) == Conduct(rounds=("toy.1", "toy.2", "toy.3"))


def test_no_length_is_no_quarantine_and_strikes_are_counted() -> None:
    client = struck(CLIENT, *(f"toy.{number}" for number in range(5)), rule=StrikeRule(most=1, first_seconds=0.0))
    assert (conduct(client).strikes, client.is_quarantined(NOW)) == (5, False)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 10**5)), max_size=80), st.integers(1, 4))
def test_a_quarantine_begins_exactly_when_so_many_were_rejected_in_a_row(told: list[tuple[bool, int, int]], most: int) -> None:
    """Against a count by hand; some words come again, and then say nothing new."""
    rule = StrikeRule(most=most, first_seconds=60.0)
    client, now, known, row, ends, lengths = CLIENT, NOW, set[tuple[bool, int]](), 0, NOW, 0
    for is_good, number, seconds in told:
        now += timedelta(seconds=seconds)
        name = f"toy.{number}"
        fresh = (is_good, number) not in known
        known.add((is_good, number))
        client = accepted(client, name, 1) if is_good else rule.struck(client, name, now)
        row = row if not fresh else 0 if is_good else row + 1
        if fresh and not is_good and row >= most and now >= ends:
            ends = now + timedelta(seconds=min(60.0 * 2**lengths, LONGEST_SECONDS))
            lengths += 1
        if len({n for good, n in known if good == is_good}) > REMEMBERED_ROUNDS:
            return
        assert (client.conduct or Conduct()).strikes == row
        assert client.is_quarantined(now) == (now < ends)


@given(st.lists(st.text("abc", min_size=1, max_size=3), max_size=200))
def test_a_record_does_not_grow(rounds: list[str]) -> None:
    client = struck(CLIENT, *rounds, *(f"r.{number}" for number in range(REMEMBERED_ROUNDS)))
    assert len(conduct(client).rounds) <= REMEMBERED_ROUNDS


@pytest.mark.parametrize(("most", "seconds"), [(0, 1), (1001, 1), (3, -1), (3, 86_401), (3, math.nan)])
def test_a_rule_that_is_none_is_refused(most: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="expected 1 to 1000 strikes and 0 to 86400 seconds"):
        StrikeRule(most=most, first_seconds=seconds)
