"""A round's counters, over one part or many: never more places than there are, and none lost for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.counters import (
    CHECK_IN,
    MOST_PARTS,
    PLACES_A_PART,
    Counters,
    Held,
    Place,
    PlaceKind,
    corrected,
    parts_for,
)
from chalicelib.rounds.devices.seating import RoundMoved, Seating
from chalicelib.rounds.round import Round
from muster.wire.admin import RoundConfig
from tests.fleet import World
from tests.rounds.making import T0, a_round

KINDS: list[PlaceKind] = ["admitted", "judges"]


@pytest.fixture
def store(world: World) -> CounterStore:
    return world.services.counters


def places_of(config: RoundConfig) -> int:
    return replace(a_round(), config=config).places


# ---- rules


@pytest.mark.parametrize(("goal", "parts"), [(1, 1), (98, 1), (99, 2), (1000, 11), (10_000, 64), (100_000, 64)])
def test_a_round_has_a_part_for_so_many_places(goal: int, parts: int) -> None:
    config = RoundConfig(goal=goal, quorum=1, evaluators=0)
    assert parts_for(config) == parts
    assert places_of(config) <= parts * PLACES_A_PART or parts == MOST_PARTS


def test_many_judges_of_a_small_round_have_parts_too() -> None:
    assert parts_for(RoundConfig(goal=1, quorum=1, evaluators=10_000)) == MOST_PARTS


def counters(admitted: int, quiet: bool = True) -> Counters:
    taken_at = T0 - CHECK_IN if quiet else T0 - CHECK_IN + timedelta(seconds=1)
    return Counters(round=a_round().id, part=0, ttl=0, admitted=admitted, place_taken_at=taken_at)


@pytest.mark.parametrize(
    ("counted", "quiet", "held", "given_up", "wanted"),
    [
        (10, True, 10, 0, None),  # right
        (10, True, 7, 0, 7),  # three that nobody has
        (10, False, 7, 0, None),  # a check-in may be about to write one of them
        (9, True, 7, 0, None),  # nobody is turned away yet
        (10, True, 7, 3, 7),  # three were given up: others may have them
        (10, True, 0, 25, None),  # and those were given up twice
        (0, False, 7, 0, 7),  # what a backup left out
    ],
)
def test_a_hint_is_lowered_when_it_turns_clients_away_and_all_is_quiet_and_raised_at_once(
    counted: int, quiet: bool, held: int, given_up: int, wanted: int | None
) -> None:
    said = Held(held=held, given_up=given_up)
    assert corrected(counters(counted, quiet), "admitted", said, places=10, turns_away=10, now=T0) == wanted


# ---- rows


def in_parts(rnd: Round, parts: int) -> Round:
    return replace(rnd, parts=parts)


@pytest.mark.parametrize("kind", KINDS)
def test_the_hint_of_places_is_corrected_only_if_no_place_was_taken_since(
    world: World, store: CounterStore, kind: PlaceKind
) -> None:
    rnd = a_round()
    (none,) = store.read(rnd)
    taken = store.take(rnd, kind, 0, 9, world.clock())
    assert isinstance(taken, Place)
    assert not store.correct(rnd, none, kind, 7)
    (one,) = store.read(rnd)
    assert store.give_back(rnd, taken)
    assert isinstance(store.take(rnd, kind, 0, 9, world.clock()), Place)
    assert not store.correct(rnd, one, kind, 7), "the count is the same, and another place is meant"
    (found,) = store.read(rnd)
    assert found.counted(kind) == 1
    assert store.correct(rnd, found, kind, 0)


def test_a_place_is_given_back_once_and_only_while_it_is_the_last(world: World, store: CounterStore) -> None:
    rnd = a_round()

    def taken() -> Place:
        place = store.take(rnd, "admitted", 0, 9, world.clock())
        assert isinstance(place, Place)
        return place

    first = taken()
    assert store.give_back(rnd, first)
    assert not store.give_back(rnd, first)
    second, third = taken(), taken()
    assert not store.give_back(rnd, second)
    assert store.give_back(rnd, third)
    assert [each.admitted for each in store.read(rnd)] == [1]
    fourth = taken()
    assert fourth.counted == third.counted
    assert not store.give_back(rnd, third), "the count is what it was, and the place is another's"


def test_no_place_is_given_in_any_part_once_its_kind_is_closed(world: World, store: CounterStore) -> None:
    rnd = in_parts(a_round(), 3)
    for _ in range(2):
        store.close(rnd, "admitted")
    assert {store.take(rnd, "admitted", part, 9, world.clock()) for part in range(3)} == {"closed"}
    assert isinstance(store.take(rnd, "judges", 1, 9, world.clock()), Place)
    with pytest.raises(RoundMoved):
        Seating(store, 2.0).take(rnd, "admitted", 9, world.clock())


# ---- clients


@pytest.mark.parametrize(("parts", "places"), [(1, 40), (7, 40), (64, 100), (64, 20)])
def test_however_many_come_at_once_all_places_are_given_and_not_one_more(world: World, parts: int, places: int) -> None:
    rnd = in_parts(a_round(), parts)
    functions = [Seating(world.services.counters, 0.0) for _ in range(4)]

    def come(number: int) -> int:
        return functions[number % 4].take(rnd, "admitted", places, world.clock()) is not None

    with ThreadPoolExecutor(4) as pool:
        first = sum(pool.map(come, range(places)))
        again = sum(pool.map(come, range(6 * places)))
    assert first + again == places
    assert sum(each.admitted for each in world.services.counters.read(rnd)) == places


def test_parts_that_are_remembered_as_full_cost_no_write_until_they_are_forgotten(world: World) -> None:
    rnd, seating = in_parts(a_round(), 4), Seating(world.services.counters, 2.0)
    while sum(each.admitted for each in world.services.counters.read(rnd)) < 8:
        seating.take(rnd, "admitted", 8, world.clock())
        world.clock.advance(3)
    for _ in range(4):
        seating.take(rnd, "admitted", 8, world.clock())
    with world.calls.count() as calls:
        assert seating.take(rnd, "admitted", 8, world.clock()) is None
    assert calls == []
    world.clock.advance(3)
    with world.calls.count() as calls:
        assert seating.take(rnd, "admitted", 8, world.clock()) is None
    assert calls == ["UpdateItem"] * 2
    for _ in range(2):
        seating.take(rnd, "admitted", 8, world.clock())
    assert seating.take(rnd, "admitted", 12, world.clock()) is not None, "there are more places than were found taken"


@pytest.mark.parametrize(("parts", "places"), [(4, 40), (64, 100), (64, 64)])
def test_as_many_clients_as_there_are_places_find_them_all_where_one_function_answers(
    world: World, parts: int, places: int
) -> None:
    rnd, seating = in_parts(a_round(), parts), Seating(world.services.counters, 2.0)
    assert all(seating.take(rnd, "admitted", places, world.clock()) for _ in range(places))
    assert seating.take(rnd, "admitted", places, world.clock()) is None
