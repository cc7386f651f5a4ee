"""The census: every client is counted once, whatever is cut, joined, killed, or done by several at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.clients.census import READINGS, Census
from chalicelib.clients.client import Client, ClientState
from chalicelib.clients.segments import CensusLimits, TallyChange, counted, emptied, is_torn, joined, period, segments
from chalicelib.clients.tally import FIRST, LAST, Tally, count, total
from chalicelib.storage import keys
from tests.fleet import SESSION, Killed, World

SMALL = CensusLimits(grown=6, part=3, few=2, at_once=9, own=8)


def census(world: World, limits: CensusLimits = SMALL) -> Census:
    services = world.services
    return Census(
        store=services.clients,
        tallies=services.tallies,
        ask=services.work.send_all,
        clock=world.clock,
        census_seconds=300.0,
        pacing=services.pacing,
        max_clients=1000,
        limits=limits,
    )


def populate(world: World, numbers: range, prefix: str = "c") -> None:
    now = world.clock()
    for number in numbers:
        one = Client(
            client_id=f"{prefix}-{number:04d}", key_hash="h", state=ClientState.ACTIVE, device_type="iot", sdk_version="1",
            enrolled_at=now, last_seen_at=now,
        )  # fmt: skip
        world.add(one)


def rows_of(names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "sk": f"client#{name}",
            "state": "active",
            "device_type": "iot",
            "last_seen_at": "2026-01-01",
            "rounds": 0,
            "samples": 0,
        }
        for name in sorted(names)
    ]


def plain_count(rows: Any) -> Tally:
    return count(0, rows, NOW, 60.0)


NOW = datetime(2026, 1, 1, tzinfo=UTC)
names = st.lists(st.text("abc-", min_size=1, max_size=4), max_size=30, unique=True)


# ---- the rules


@pytest.mark.parametrize(("clients", "minutes"), [(0, 5), (10_000, 5), (300_000, 5), (1_000_000, 16.7), (100_000_000, 1666.7)])
def test_a_census_reads_no_more_than_a_thousand_rows_a_second(clients: int, minutes: float) -> None:
    assert period(clients, 300.0) / timedelta(minutes=1) == pytest.approx(minutes, abs=0.05)


@given(names, st.booleans())
def test_the_parts_of_a_segment_cover_it_and_have_each_client_once(ids: list[str], was_counted: bool) -> None:
    (whole,) = segments([Tally(shard=0, counted_at=NOW)] if was_counted else [], 1)
    parts = counted(whole, iter(rows_of(ids)), SMALL, plain_count)
    assert parts[0].begins == FIRST
    assert [one.ends for one in parts[:-1]] == [one.begins for one in parts[1:]]
    if was_counted or len(ids) < SMALL.at_once:
        assert parts[-1].ends == LAST
        assert sum(part.size for part in parts) == len(ids)
    for part in parts:
        assert part.size == sum(part.begins <= name < part.ends for name in ids)
        assert len(parts) == 1 or part.size >= SMALL.few
    assert (len(parts) > 1) == (sum(part.size for part in parts) > SMALL.grown)


@given(st.lists(st.tuples(st.text("abc", max_size=2), st.text("abc", max_size=2)), max_size=12, unique_by=lambda row: row[0]))
def test_whatever_rows_are_there_every_client_is_in_one_segment(rows: list[tuple[str, str]]) -> None:
    there = [Tally(shard=0, counted_at=NOW, begins=begins, ends=ends or LAST) for begins, ends in rows]
    found = segments(there, 1)
    assert (found[0].begins, found[-1].ends) == (FIRST, LAST)
    assert [one.ends for one in found[:-1]] == [one.begins for one in found[1:]]
    assert all(one.begins < one.ends for one in found)
    assert is_torn(there, found) == (
        sum(one.tally is not None for one in found) != len([row for row in there if not row.is_empty])
        or (bool(there) and any(one.tally is None for one in found))
    )


def test_small_neighbours_are_joined_and_the_second_leaves_a_row_that_has_nobody() -> None:
    one = replace(plain_count(rows_of(["a"])), ends="k")
    other = replace(plain_count(rows_of(["k", "l"])), begins="k")
    (_, following) = segments([one, other], 1)
    together = joined(one, following, SMALL)
    assert together
    assert (together.begins, together.ends, together.size) == (FIRST, LAST, 3)
    left = emptied(other, NOW)
    assert left.is_empty
    assert left.ttl
    assert segments([together, left], 1) == segments([together], 1)
    assert joined(replace(one, ends="j"), following, SMALL) is None, "they are not neighbours"
    assert joined(replace(one, clients=2), following, SMALL) is None, "it is not small"


def test_of_two_that_cut_a_segment_differently_the_first_wins_and_the_second_changes_nothing(world: World) -> None:
    store = world.services.tallies
    seen = Tally(shard=3, counted_at=NOW)
    assert store.change([TallyChange(None, seen)])
    assert not store.change([TallyChange(None, seen)]), "it is not new any more"
    later = NOW + timedelta(minutes=5)

    def cut(at: str) -> list[TallyChange]:
        first, rest = (replace(seen, counted_at=later, begins=begins, ends=ends) for begins, ends in ((FIRST, at), (at, LAST)))
        return [TallyChange(seen, first), TallyChange(None, rest)]

    assert store.change(cut("m"))
    before = store.all()
    assert [(row.begins, row.ends) for row in before] == [(FIRST, "m"), ("m", LAST)]
    for late in (cut("k"), cut("m"), cut("x")[:1], [TallyChange(None, emptied(before[1], later)), cut("k")[1]]):
        assert not store.change(late)
    assert store.all() == before
    assert store.change(
        [TallyChange(before[0], replace(seen, counted_at=later)), TallyChange(before[1], emptied(before[1], later))]
    )
    assert [segment.ends for segment in segments(store.all(), 16) if segment.tally] == [LAST]


# ---- counting


def test_a_small_fleet_costs_a_query_and_a_write_for_each_shard(world: World) -> None:
    populate(world, range(50))
    census(world, CensusLimits()).take()
    world.clock.advance(300)
    with world.calls.count() as calls:
        assert census(world, CensusLimits()).take()
    assert sorted(calls) == ["GetItem"] + ["PutItem"] * keys.SHARDS + ["Query"] * (2 + keys.SHARDS)
    with world.calls.count() as calls:
        census(world).take()
    assert calls == ["Query"], "what was counted a moment ago is not counted again"


def test_a_tally_from_before_there_were_segments_is_the_first_one_of_its_shard(world: World) -> None:
    client = SESSION.client("dynamodb")
    populate(world, range(20))
    counted_at = {"S": "2025-01-01T00:00:00.000000Z"}
    old = {"pk": {"S": "fleet"}, "shard": {"N": "3"}, "counted_at": counted_at, "clients": {"N": "7"}}
    client.put_item(TableName=world.settings.clients_table, Item={**old, "sk": {"S": "tally#03"}})
    assert census(world).statistics().clients == 7
    found = None
    for _ in range(20):
        world.clock.advance(60)
        found = census(world).take() or found
    assert found
    assert found.clients == 20


def test_what_waits_too_long_is_counted_by_others_and_by_nobody_twice(world: World) -> None:
    populate(world, range(120))
    world.services.census = census(world)
    assert world.services.census.take() is None
    messages = world.sqs.get_queue_attributes(QueueUrl=world.settings.work_queue_url, AttributeNames=["All"])["Attributes"]
    assert int(messages["ApproximateNumberOfMessages"]) > 5
    for _ in range(3):
        world.deliver()
        world.services.census.take()
    world.deliver()
    assert world.services.census.statistics().clients == 120
    assert total(world.services.tallies.all()).clients == 120  # type: ignore[union-attr]
    world.clock.advance(300)
    world.services.census.take()
    with world.calls.count() as calls:
        assert world.deliver() == 0, "who waits for a minute only is no reason to ask others"
    assert calls == []


def test_two_do_not_count_the_same_at_once(world: World) -> None:
    populate(world, range(40))
    one, other = census(world), census(world)
    counting: list[str] = []

    def rival(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "Query" and world.calls.seen[-2] == "GetItem" and not counting:
            counting.append(operation)
            with world.calls.count() as calls:
                other.help(0, FIRST)
            assert calls == ["Query", "Query", "Query", "PutItem"] or calls.count("PutItem") == 1
        return proceed()

    world.calls.between = rival
    one.help(0, FIRST)
    world.calls.between = None
    assert counting
    there = [row for row in world.services.tallies.all() if row.shard == 0]
    assert total(there).size == sum(keys.shard(f"c-{n:04d}") == "00" for n in range(40))  # type: ignore[union-attr]


def test_tallies_that_were_read_half_changed_are_read_again(world: World) -> None:
    populate(world, range(200))
    world.services.census = census(world)
    for _ in range(12):
        world.services.census.take()
        world.deliver()
    before = census(world).statistics()
    assert before.clients == 200
    left = iter(range(READINGS - 1))

    def torn(operation: str, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        if operation == "Query" and next(left, None) is not None:
            answer["Items"] = [item for item in answer["Items"] if not item["sk"]["S"].startswith("tally#04#")]
        return answer

    world.calls.between = torn
    assert census(world).statistics() == before


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_whoever_counts_dies_or_comes_twice_each_client_is_counted_once(seed: int) -> None:
    """Clients come, and go by hand; censuses overlap, and are killed at any call, before or after it."""
    chance = random.Random(seed)
    with closing(World()) as world:
        fate = _Fate(world, chance)
        for _ in range(12):
            fate.change_fleet(60)
            world.calls.between = fate
            with suppress(Killed):
                _somebody_counts(world, chance)
            world.calls.between = None
            world.clock.advance(chance.choice([1, 300, 700]))
            _check_chain(world)
        _settle(world)


class _Fate:
    """What comes between a census and the store: nothing, death, or another census."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._depth = 0
        self._number = 0

    def __call__(self, _: str, proceed: Callable[[], Any]) -> Any:
        drawn = self._chance.random()
        if drawn < 0.02:
            raise Killed
        if drawn < 0.1 and self._depth < 2:
            self._depth += 1
            self._world.clock.advance(self._chance.choice([1, 400, 700]))
            self.change_fleet(20)
            with suppress(Killed):
                _somebody_counts(self._world, self._chance)
            self._depth -= 1
        answer = proceed()
        if drawn > 0.98:
            raise Killed
        return answer

    def change_fleet(self, most: int) -> None:
        """Clients come, anywhere in the order of ids, and sometimes go."""
        was, self._world.calls.between = self._world.calls.between, None
        for _ in range(self._chance.randrange(most)):
            self._number += 1
            populate(self._world, range(self._number, self._number + 1), self._chance.choice("abcdefgh"))
        if self._chance.random() < 0.2:
            _thin_out(self._world, self._chance)
        self._world.calls.between = was


def _somebody_counts(world: World, chance: random.Random) -> None:
    one = census(world)
    if chance.random() < 0.5:
        one.take()
    else:
        found = segments(world.services.tallies.all(), keys.SHARDS)
        segment = chance.choice(found)
        one.help(segment.shard, segment.begins)


def _thin_out(world: World, chance: random.Random) -> None:
    table = SESSION.resource("dynamodb").Table(world.settings.clients_table)
    for item in _clients(world):
        if chance.random() < 0.7:
            table.delete_item(Key={"pk": item["pk"]["S"], "sk": item["sk"]["S"]})


def _clients(world: World) -> list[Any]:
    found = SESSION.client("dynamodb").scan(TableName=world.settings.clients_table)["Items"]
    return [item for item in found if item["sk"]["S"].startswith("client#")]


def _check_chain(world: World) -> None:
    """The rows of each shard do not overlap: what they cover, each client of a shard is in at most one of them."""
    rows = [row for row in world.services.tallies.all() if not row.is_empty]
    found = [segment.tally for segment in segments(rows, keys.SHARDS) if segment.tally]
    assert len(found) == len(rows), "none reaches into another one"


def _settle(world: World) -> None:
    """Left alone, the census counts exactly who is there, in segments of their size."""
    world.clock.advance(3600)
    world.services.census = census(world)
    for _ in range(40):
        world.clock.advance(1)
        world.services.census.take()
        world.deliver()
    whole = segments(world.services.tallies.all(), keys.SHARDS)
    assert all(segment.tally for segment in whole)
    assert world.services.census.statistics().clients == len(_clients(world))
    assert max(segment.tally.size for segment in whole if segment.tally) <= SMALL.grown
