"""Enrolments that come at once, twice, or die in the middle: uses and places are exact, whatever happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.clients.directory import Directory
from chalicelib.clients.fleet_store import FleetFull, FleetStore
from chalicelib.clients.shares import MOST_SHARES
from chalicelib.errors import Refusal
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Condition, Put, Table
from chalicelib.wiring import Services
from muster.wire.admin.paging import After
from muster.wire.messages import Enrolment
from muster.wire.problems import Problem
from tests.aws import STORE
from tests.clients.enrolling import PROOF, enrol, enrolment
from tests.fleet import SESSION, Killed, World

ALWAYS = Condition("attribute_exists(#pk) OR attribute_not_exists(#pk)", "whatever is there")


def names(count: int) -> list[str]:
    return [f"client-{number}" for number in range(count)]


def claimed(world: World) -> int:
    """Uses of the only token that are taken."""
    (token,) = world.services.tokens.page(After()).tokens
    return token.claimed


def enrolled(world: World, state: str = "active") -> int:
    """Clients that are there in this state."""
    found = SESSION.client("dynamodb").scan(TableName=world.settings.clients_table)["Items"]
    return sum(row["sk"]["S"].startswith("client#") and row["state"]["S"] == state for row in found)


def whole(world: World) -> None:
    """Whoever is there used the token, and has a place."""
    assert claimed(world) == enrolled(world) + enrolled(world, "revoked")
    assert sum(world.services.fleet_rows.taken()) == enrolled(world)


def answer_of(directory: Directory, token: str, name: str) -> str:
    """What becomes of an enrolment."""
    body = Enrolment(token=token, client_id=name, proof=PROOF, device_type="iot", sdk_version="test")
    try:
        directory.enrol(body)
    except Refusal as refused:
        return refused.problem.value
    return "enrolled"


def another_instance(world: World) -> Directory:
    """Another function instance's."""
    return Services(settings=world.settings, clock=world.clock, session=SESSION).directory


def table(world: World) -> Table:
    return Table(SESSION.client("dynamodb"), world.settings.clients_table)


@contextmanager
def smaller(max_clients: int, taken: list[int]) -> Iterator[World]:
    """A fleet whose shares count so many, as if more could be in it once."""
    with closing(World(max_clients=max_clients)) as world:
        rows = table(world)
        for number, count in enumerate(taken):
            rows.put(Put(table=rows, key=keys.fleet_key(number), item={"enrolled": count}, condition=ALWAYS))
        yield world


# ---- what an enrolment costs


def test_an_enrolment_is_one_read_and_one_transaction(world: World) -> None:
    token = world.token(uses=5_000)
    enrol(world, enrolment(token, "first"))
    with world.calls.count() as calls:
        enrol(world, enrolment(token, "second"))
    assert calls == ["GetItem", "TransactWriteItems"]
    with world.calls.count() as calls:
        enrol(world, enrolment(token, "second"))
    assert calls == ["GetItem", "TransactWriteItems"], "the same again"
    world.clock.advance(60)
    with world.calls.count() as calls:
        enrol(world, enrolment(token, "third"))
    assert calls == ["GetItem", "BatchGetItem", "TransactWriteItems"], "once a minute the shares of the fleet are looked at"


def test_a_token_that_was_seen_used_up_costs_its_next_device_one_read(world: World) -> None:
    token = world.token(uses=1)
    enrol(world, enrolment(token, "first"))
    assert enrol(world, enrolment(token, "second"))[0] == 403
    with world.calls.count() as calls:
        assert enrol(world, enrolment(token, "third"))[0] == 403
    assert calls == ["GetItem"], "whether it has the answer already"
    assert enrol(world, enrolment(token, "first"))[0] == 201


def test_transactions_that_meet_are_tried_again_and_nobody_is_refused_for_it(world: World) -> None:
    token, meetings = world.token(), iter(range(2))

    def meets(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactWriteItems" and next(meetings, None) is not None:
            reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}, {"Code": "None"}]
            error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise SESSION.client("dynamodb").exceptions.TransactionCanceledException(error, operation)
        return proceed()

    world.calls.between = meets
    with world.calls.count() as calls:
        assert enrol(world, enrolment(token))[0] == 201
    assert calls.count("TransactWriteItems") == 3
    whole(world)


# ---- uses


@pytest.mark.parametrize("uses", [1, 20, 530])
def test_a_token_admits_exactly_as_many_as_it_has_uses_over_all_its_shares(world: World, uses: int) -> None:
    token = world.token(uses)
    directory = world.services.directory
    answers = Counter(answer_of(directory, token, name) for name in names(uses + 10))
    assert answers == {"enrolled": uses, Problem.ENROLMENT_REFUSED.value: 10}
    (listed,) = world.operator.tokens()
    assert (listed.claimed, listed.state) == (uses, "used-up")
    whole(world)


def test_who_is_refused_uses_nothing(world: World) -> None:
    token, other = world.operator.mint_token(5), world.token()
    enrol(world, enrolment(other, "taken"))
    assert enrol(world, enrolment(token.token, "taken"))[0] == 409
    assert {t.token_id: t.claimed for t in world.operator.tokens()}[token.token_id] == 0


@pytest.mark.skipif(STORE == "moto", reason="moto in this process does not take threads")
def test_devices_at_once_in_many_function_instances_take_each_use_once(world: World) -> None:
    token = world.token(520)
    directories = [another_instance(world) for _ in range(4)]

    def some(thread: int) -> Counter[str]:
        return Counter(answer_of(directories[thread], token, name) for name in names(540)[thread::4])

    with ThreadPoolExecutor(4) as pool:
        outcomes = sum(pool.map(some, range(4)), Counter())
    assert outcomes == {"enrolled": 520, Problem.ENROLMENT_REFUSED.value: 20}
    whole(world)


# ---- an enrolment that dies


def test_an_enrolment_that_is_killed_anywhere_leaves_nothing_or_a_client_and_its_repeat_ends_it(world: World) -> None:
    token = world.token(uses=5_000)
    number = 0
    for before in (True, False):
        for at in range(10):
            number += 1
            world.restart()
            reached = _killed_at(world, at, before, lambda name=f"client-{number}": enrol(world, enrolment(token, name)))  # type: ignore[misc]
            whole(world)
            assert enrol(world, enrolment(token, f"client-{number}"))[0] == 201
            whole(world)
            if not reached:
                break
        assert at == 6, "signing key, token, shares of the fleet, transaction, and the pace of the fleet: each was killed"
    assert enrolled(world) == number


def test_a_revocation_that_is_killed_anywhere_frees_a_place_once(world: World) -> None:
    token = world.token(uses=100)
    for name in names(8):
        enrol(world, enrolment(token, name))
    for at, before in ((at, before) for at in range(4) for before in (True, False)):
        name = f"client-{at * 2 + before}"
        _killed_at(world, at, before, lambda name=name: world.services.directory.revoke(name))  # type: ignore[misc]
        world.restart()
        world.operator.revoke(name)
        whole(world)
    assert sum(world.services.fleet_rows.taken()) == 0


# ---- a token that is revoked


def test_who_read_a_token_before_it_was_revoked_is_refused_by_its_share(world: World) -> None:
    minted = world.operator.mint_token(5_000)
    enrol(world, enrolment(minted.token, "early"))

    def rival(operation: str, proceed: Callable[[], Any]) -> Any:
        if operation == "TransactWriteItems":
            world.calls.between = None
            world.operator.revoke_token(minted.token_id)
        return proceed()

    world.calls.between = rival
    assert enrol(world, enrolment(minted.token, "late"))[0] == 403
    assert claimed(world) == 1
    assert enrol(world, enrolment(minted.token, "early"))[0] == 201, "a lost answer is given again"


def test_a_revocation_of_a_token_that_died_is_ended_by_its_repeat(world: World) -> None:
    minted = world.operator.mint_token(1_000)
    stored = world.services.token_rows.get(minted.token_id)
    assert stored
    assert stored.shares == 3
    for at in range(6):
        _killed_at(world, at, True, lambda: world.services.tokens.revoke(minted.token_id))
    revoked = world.operator.revoke_token(minted.token_id)
    assert revoked.state == "revoked"
    rows = table(world)
    shares = [rows.get(keys.uses_key(minted.token_id, number)) for number in range(3)]
    assert all(row and row["revoked_at"] and row["ttl"] > stored.ttl for row in shares)
    with world.calls.count() as calls:
        world.operator.revoke_token(minted.token_id)
    assert calls.count("UpdateItem") == 1, "what is closed is not written again"


def test_the_rows_of_a_token_expire_and_its_shares_outlive_it(world: World) -> None:
    minted = world.operator.mint_token(1)
    enrol(world, enrolment(minted.token))
    rows = table(world)
    token, share = rows.get(keys.TOKEN.key(token=minted.token_id)), rows.get(keys.uses_key(minted.token_id, 0))
    assert token
    assert share
    assert share["ttl"] == token["ttl"] + 86_400


# ---- places


def test_a_fleet_that_was_counted_in_one_row_goes_on() -> None:
    """The row lies where the first share does, and has more than a share holds."""
    with smaller(1_000, [998]) as world:
        token = world.token()
        assert [enrol(world, enrolment(token, name))[0] for name in names(4)] == [201, 201, 403, 403]
        assert world.services.fleet_rows.taken()[:4] == [334, 333, 333, 0]
        world.operator.revoke("client-0")
        assert [enrol(world, enrolment(token, name))[0] for name in names(4)[2:]] == [201, 403]


@pytest.mark.parametrize("taken", [[11], [2, 10], [0] * 63 + [11], [1] * 12, [5, 0, 3, 0, 4]])
def test_a_fleet_that_may_have_fewer_than_are_in_it_admits_nobody(taken: list[int]) -> None:
    with smaller(11, taken) as world:
        token = world.token()
        directory = world.services.directory
        assert {answer_of(directory, token, name) for name in names(20)} == {Problem.FLEET_FULL.value}
        assert sum(world.services.fleet_rows.taken()) == sum(taken)


def test_a_fleet_that_was_made_smaller_has_room_when_enough_have_gone() -> None:
    with closing(World(max_clients=2_000)) as world:
        token = world.token(100)
        for name in names(20):
            assert enrol(world, enrolment(token, name))[0] == 201
        world.settings = replace(world.settings, max_clients=18)
        world.restart()
        assert enrol(world, enrolment(token, "one-more"))[0] == 403
        for number, name in enumerate(names(4), 1):
            world.operator.revoke(name)
            answer = enrol(world, enrolment(token, f"one-more-{number}"))[0]
            assert (answer, enrolled(world)) == ((403, 20 - number) if number < 3 else (201, 18))


def test_places_that_are_freed_behind_a_reader_are_found() -> None:
    """Read one after another, shares may all be seen full though there was room at every instant."""
    with smaller(1_024, [256, 256, 256, 255]) as world:
        fleet, rows = world.services.fleet_rows, table(world)
        swaps: Iterator[list[int]] = iter([[255, 256, 256, 256]])

        def rival(operation: str, proceed: Callable[[], Any]) -> Any:
            answer = proceed()
            if operation == "BatchGetItem" and (now := next(swaps, None)):
                world.calls.between = None
                for row in next(iter(answer["Responses"].values())):
                    row["enrolled"] = {"N": "256"}  # as if the other share had been read after the swap
                for number, count in enumerate(now):
                    rows.put(Put(table=rows, key=keys.fleet_key(number), item={"enrolled": count}, condition=ALWAYS))
            return answer

        world.calls.between = rival
        assert fleet.other("device") == 0


def test_a_full_fleet_is_told_so_after_two_readings_that_agree(world: World) -> None:
    fleet = FleetStore(table(world), 0)
    with pytest.raises(FleetFull):
        fleet.place(0)
    with world.calls.count() as calls, pytest.raises(FleetFull):
        fleet.other("device")
    assert calls == ["BatchGetItem"] * 2


def test_a_client_that_nobody_counted_can_be_revoked(world: World) -> None:
    enrol(world, enrolment(world.token()))
    rows = table(world)
    for number in range(MOST_SHARES):
        rows.put(Put(table=rows, key=keys.fleet_key(number), item={"enrolled": 0}, condition=ALWAYS))
    assert world.operator.revoke("thermostat-7").state == "revoked"
    assert sum(world.services.fleet_rows.taken()) == 0


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_whatever_happens_neither_uses_nor_places_are_exceeded(uses: int, places: int, seed: int) -> None:
    """Enrolments, repeats, revocations, lost responses, deaths, and a fleet whose size is changed."""
    chance = random.Random(seed)
    with closing(World(max_clients=places)) as world:
        token = world.token(uses)
        for _ in range(30):
            world.calls.between = lambda _, proceed: _fate(chance, proceed)
            name = f"client-{chance.randrange(16)}"
            with suppress(Killed, Refusal):  # nobody of that name is there
                if chance.random() < 0.7:
                    answer_of(world.services.directory, token, name)
                else:
                    world.services.directory.revoke(name)
            world.calls.between = None
            there = enrolled(world)
            whole(world)
            assert claimed(world) <= uses
            assert there <= places
            if chance.random() < 0.1:
                places = max(there, chance.randrange(1, 12))
                world.settings = replace(world.settings, max_clients=places)
                world.restart()


def _fate(chance: random.Random, proceed: Callable[[], Any]) -> Any:
    drawn = chance.random()
    if drawn < 0.05:
        raise Killed
    answer = proceed()
    if drawn < 0.1:
        raise Killed
    return proceed() if drawn < 0.2 else answer


def _killed_at(world: World, at: int, before: bool, doing: Callable[[], object]) -> bool:
    """Whether the call of this number was reached; it is the last one, and is made or not."""
    calls = iter(range(1000))

    def dies(_: str, proceed: Callable[[], Any]) -> Any:
        if next(calls) != at:
            return proceed()
        if not before:
            proceed()
        raise Killed

    world.calls.between = dies
    try:
        doing()
    except Killed:
        return True
    finally:
        world.calls.between = None
    return False
