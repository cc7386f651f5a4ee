"""What devices are told, and the bounds that operators give it, through the whole server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from muster.http.errors import Refused
from muster.wire import messages as wire
from muster.wire.problems import Problem
from tests.fleet import World


@pytest.fixture
def world() -> Iterator[World]:
    with closing(World()) as made:
        yield made


def counted(world: World, clients: int, **active: int) -> None:
    """A census has counted so many, and everybody knows."""
    world.counted(clients=clients, active_by_model=active)
    world.services.pacing.refresh()


def waits(world: World, device: Any) -> wire.Wait:
    reply = device.check_in()
    assert isinstance(reply, wire.Wait)
    assert reply.drawn
    return reply


@pytest.mark.parametrize(("clients", "seconds"), [(100, 900.0), (600, 3600.0), (10**6, 5400.0), (10**8, 50_000.0)])
def test_a_heartbeat_is_told_the_interval_of_the_fleet(world: World, clients: int, seconds: float) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    counted(world, clients)
    device.beat_after(0.0)
    beat = device.heartbeat_if_due()
    assert beat
    assert (beat.next_heartbeat_seconds, beat.drawn) == (seconds, True)
    assert world.services.pacing.timeout_seconds == 2 * seconds


def test_a_small_fleet_meets_and_a_large_one_is_spread(world: World) -> None:
    world.model(goal=50, quorum=1, over_selection=1.3, report_seconds=600.0)
    devices = world.devices(2)
    counted(world, 80, toy=80)
    world.clock.advance(7)
    assert waits(world, devices[0]).retry_after_seconds == pytest.approx(60 - 7 + 2.5)
    world.clock.advance(1)
    assert waits(world, devices[1]).retry_after_seconds == pytest.approx(60 - 8 + 2.5)
    counted(world, 1000, toy=1000)
    assert waits(world, devices[0]).retry_after_seconds == pytest.approx(60 * 1000 / 97.5)


def test_between_rounds_devices_sleep_until_the_next_may_open_and_the_server_opens_none_before(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=0, rounds=2, every_seconds=7200.0)
    world.tick()
    one, other = world.devices(2)
    world.update(one)
    assert waits(world, one).retry_after_seconds == pytest.approx(7202.5), "it has done its part, and nobody judges"
    assert waits(world, other).reason == "round-full"
    world.deliver()
    world.tick()
    world.clock.advance(600)
    world.tick()
    told = waits(world, one)
    assert told.reason == "between-rounds"
    assert told.retry_after_seconds == pytest.approx(6602.5)
    world.clock.advance(6599)
    world.tick()
    assert world.operator.status("toy").training.rounds_completed == 1
    assert waits(world, one).reason == "between-rounds"
    world.clock.advance(2)
    world.tick()
    assert one.check_in().kind == "train"


def test_who_may_judge_comes_before_the_next_opening(world: World) -> None:
    world.model(goal=1, quorum=1, over_selection=1.0, evaluators=2, every_seconds=86_400.0)
    world.tick()
    one, other = world.devices(2)
    world.update(one)
    assert waits(world, other).retry_after_seconds == pytest.approx(62.5)


def test_bounds_are_set_by_revision_and_the_same_again_is_the_same(world: World) -> None:
    assert world.operator.pace().revision == 0
    made = world.operator.set_pace(100.0, 10**9, revision=0, because="it is enough")
    assert (made.revision, made.ceiling, made.budget, made.because) == (1, 100.0, 10**9, "it is enough")
    assert world.operator.set_pace(100.0, 10**9, revision=0) == made
    with pytest.raises(Refused) as moved:
        world.operator.set_pace(200.0, None, revision=0)
    assert moved.value.problem is Problem.PACE_MOVED
    planned = world.operator.set_pace(200.0, None, revision=1, dry_run=True)
    assert (planned.revision, planned.ceiling) == (2, 200.0)
    assert world.operator.pace() == made, "a dry run changes nothing"
    assert world.operator.set_pace(200.5, None, revision=1).budget is None
    assert world.operator.pace().ceiling == 200.5


@pytest.mark.parametrize("body", [{"ceiling": 0}, {"ceiling": -1}, {"ceiling": 1e300}, {"ceiling": 1.0, "budget": 0}])
def test_no_bound_is_none_and_none_is_refused(world: World, body: dict[str, Any]) -> None:
    answer = world.request("PUT", "/v1/admin/fleet/pace", body={"revision": 0, **body})
    assert answer.json()["type"] == Problem.INVALID_BODY.urn


@pytest.mark.parametrize(("ceiling", "budget"), [(40.0, None), (5000.0, 10**6)])
def test_bounds_that_cannot_serve_the_fleet_are_refused_with_the_smallest_that_could(
    world: World, ceiling: float, budget: int | None
) -> None:
    counted(world, 10**6)
    with pytest.raises(Refused) as unfit:
        world.operator.set_pace(ceiling, budget, revision=0)
    assert unfit.value.problem is Problem.PACE_UNFIT
    least = float(str(unfit.value.document.expected).split()[5])
    smallest: tuple[float, int | None] = (least, None) if budget is None else (5000.0, int(least))
    assert world.operator.set_pace(*smallest, revision=0).revision == 1


def test_a_fleet_that_has_outgrown_its_budget_is_told_so_and_nobody_is_cut_off(world: World) -> None:
    world.model(rounds=1)
    (device,) = world.devices(1)
    counted(world, 1000, toy=1000)
    world.operator.set_pace(5000.0, 10**5, revision=0)
    counted(world, 10**6, toy=10**6)
    device.beat_after(0.0)
    beat = device.heartbeat_if_due()
    assert beat
    assert beat.next_heartbeat_seconds == 57_600.0
    pace = world.operator.status("toy").pace
    assert pace
    assert "the budget will not hold" in str(pace.trouble)


def test_who_was_told_a_longer_interval_is_not_gone_when_the_bounds_are_widened(world: World) -> None:
    counted(world, 10**6)
    world.operator.set_pace(60.0, None, revision=0)
    slow = world.services.pacing.refresh()
    assert world.services.pacing.timeout_of(slow) == pytest.approx(2 * 10**6 / 24)
    world.operator.set_pace(5000.0, None, revision=1)
    pacing = world.services.pacing
    assert pacing.timeout_of(pacing.refresh()) == pytest.approx(2 * 10**6 / 24), "some go by it yet"
    world.clock.advance(2 * 10**6 / 24)
    assert pacing.timeout_of(pacing.refresh()) == 10_800.0


def test_a_heartbeat_is_one_request_once_the_fleet_was_looked_at() -> None:
    with closing(World(memory_seconds=3600.0)) as world:
        world.model()
        (device,) = world.devices(1)
        for expected in (None, ["UpdateItem"]):
            world.clock.advance(world.settings.request_seconds)
            device.beat_after(0.0)
            with world.calls.count() as calls:
                device.heartbeat_if_due()
            assert expected in (None, list(calls))


def test_bounds_whose_row_cannot_be_read_bound_nothing_and_stop_nothing(world: World) -> None:
    world.operator.set_pace(100.0, None, revision=0)
    key = {"pk": {"S": "fleet"}, "sk": {"S": "pace"}}
    world.services._dynamodb.put_item(TableName=world.settings.clients_table, Item={**key, "revision": {"S": "?"}})
    assert world.services.pacing.refresh().bounds is None
    assert world.services.pacing.next_heartbeat() == 900.0


def test_who_asks_much_more_often_than_it_is_told_is_answered_429_and_who_obeys_never(world: World) -> None:
    world.model(goal=10, quorum=1, over_selection=1.0, report_seconds=600.0)
    world.tick()
    rash, calm = world.devices(2)
    counted(world, 10**6, toy=10**6)
    told = waits_or_works(world, rash)
    assert told > 3000.0
    answers = []
    for _ in range(60):
        world.clock.advance(60.0)
        answers.append(world.request("POST", "/v1/models/toy/checkin", key=world.key_of(rash), body={}).status_code)
    assert answers[:20] == [200] * 20
    assert answers[40:].count(200) <= 60 * 20 // (5400 // 8) + 1
    for _ in range(6):
        world.clock.advance(2700.0)
        counted(world, 10**6, toy=10**6)
        assert world.request("POST", "/v1/models/toy/checkin", key=world.key_of(calm), body={}).status_code == 200


def waits_or_works(world: World, device: Any) -> float:
    """How long a device is told to stay away, when all places are taken: one by this one."""
    device.check_in()
    rnd = world.services.rounds.latest("toy")
    assert rnd
    for part in world.services.counters.read(rnd):
        assert world.services.counters.correct(rnd, part, "admitted", 10)
    (other,) = world.devices(1)
    return waits(world, other).retry_after_seconds
