"""A client comes: one write that proves the key, marks it alive and takes from its bucket, all or none."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.clients.client import Client, Readiness
from chalicelib.settings import Settings, request_seconds
from infra.memory.calls import Killed
from muster import Device
from muster.device.loop import Loop
from muster.wire.messages import DeviceState
from muster.wire.problems import Problem
from tests.clients.enrolling import enrol, enrolment
from tests.fleet import API, Drift, World
from tests.rounds.refusing import refused

CHECK_IN, BEAT = "/v1/models/toy/checkin", "/v1/heartbeat"


def row(world: World, device: Device) -> Client:
    found = world.services.clients.get(device.client_id)
    assert found
    return found


def asks(world: World, device: Device, path: str = CHECK_IN, **body: Any) -> int:
    return world.request("POST", path, key=world.key_of(device), body=body).status_code


@pytest.fixture
def small() -> Any:
    with closing(World(request_burst=3)) as world:
        world.model(rounds=0)
        yield world


@pytest.mark.parametrize("path", [CHECK_IN, BEAT])
def test_after_the_burst_a_request_is_answered_429_with_when_to_come(small: World, path: str) -> None:
    (device,) = small.devices(1)
    assert [asks(small, device, path) for _ in range(3)] == [200] * 3
    small.clock.advance(2.5)
    before = row(small, device)
    document = refused(small, Problem.TOO_MANY_REQUESTS, "POST", path, key=small.key_of(device), body={})
    assert document["retry_after_seconds"] == 7.5
    response = small.request("POST", path, key=small.key_of(device), body={})
    assert response.headers["Retry-After"] == "8"
    assert row(small, device) == before, "a refused request changes nothing"
    small.clock.advance(8)
    assert asks(small, device, path) == 200


def test_heartbeats_and_check_ins_have_a_bucket_each(small: World) -> None:
    (device,) = small.devices(1)
    assert [asks(small, device) for _ in range(4)] == [200, 200, 200, 429]
    assert [asks(small, device, BEAT) for _ in range(4)] == [200, 200, 200, 429]
    assert small.request("GET", "/v1/models/toy", key=small.key_of(device)).status_code == 200, "the served version goes on"


def test_who_keeps_to_the_rate_costs_one_write_and_who_does_not_two_or_a_refusal(small: World) -> None:
    (device,) = small.devices(1)
    costs = []
    small.services.pacing.refresh()
    for _ in range(4):
        with small.calls.count() as calls:
            asks(small, device, BEAT)
        costs.append(list(calls))
    assert costs == [["UpdateItem"], ["UpdateItem"] * 2, ["UpdateItem"] * 2, ["UpdateItem"]]
    small.clock.advance(1000)
    small.services.pacing.refresh()
    for _ in range(3):
        small.clock.advance(small.settings.request_seconds)
        with small.calls.count() as calls:
            asks(small, device, BEAT)
        assert calls == ["UpdateItem"]


def test_a_check_in_is_a_sign_of_life_and_a_refused_one_is_none(small: World) -> None:
    (device,) = small.devices(1)
    small.clock.advance(5)
    asks(small, device)
    seen = row(small, device).last_seen_at
    assert seen == small.clock()
    for _ in range(3):
        asks(small, device)
    small.clock.advance(1)
    assert asks(small, device) == 429
    assert row(small, device).last_seen_at == seen


keyed = st.lists(st.tuples(st.booleans(), st.sampled_from([CHECK_IN, BEAT]), st.integers(0, 12)), max_size=12)


def test_a_wrong_key_empties_nobodys_bucket(small: World) -> None:
    """Whatever strangers send, the owner is answered as if it were alone."""
    counted = [0]

    @settings(max_examples=12)
    @given(keyed)
    def holds(requests: list[tuple[bool, str, int]]) -> None:
        counted[0] += 1
        alone, beside = (small.device(small.token(), f"device-{counted[0]}-{name}") for name in "ab")
        key = small.key_of(beside)
        wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
        for is_owner, path, seconds in requests:
            small.clock.advance(seconds)
            if is_owner:
                assert asks(small, beside, path) == asks(small, alone, path)
            else:
                before = row(small, beside)
                assert small.request("POST", path, key=wrong, body={}).status_code == 401
                assert row(small, beside) == before

    holds()


def test_two_requests_at_once_both_take(small: World) -> None:
    """The second was counted by another instance between the look and the write of the first."""
    (device,) = small.devices(1)
    asks(small, device)

    def rival(operation: str, proceed: Callable[[], Any]) -> Any:
        small.calls.between = None
        answer: Any
        try:
            answer = proceed()
        finally:
            assert asks(small, device) == 200
        return answer

    small.calls.between = rival
    assert asks(small, device) == 200
    assert row(small, device).checkin_arrival == small.clock().timestamp() + 30
    assert asks(small, device) == 429


def test_who_is_outrun_again_and_again_is_told_to_come_later(small: World) -> None:
    (device,) = small.devices(1)
    table = small.settings.clients_table
    dynamodb = small.services._dynamodb
    (item,) = (found for found in dynamodb.scan(TableName=table)["Items"] if found.get("client_id") == {"S": device.client_id})
    key = {name: item[name] for name in ("pk", "sk")}
    asks(small, device)
    moved = [0]

    def rival(operation: str, proceed: Callable[[], Any]) -> Any:
        kept, small.calls.between = small.calls.between, None
        moved[0] += 1
        dynamodb.update_item(
            TableName=table, Key=key, UpdateExpression="SET checkin_arrival = :a",
            ExpressionAttributeValues={":a": {"N": str(small.clock().timestamp() + moved[0])}},
        )  # fmt: skip
        small.calls.between = kept
        return proceed()

    small.calls.between = rival
    assert asks(small, device) == 429
    assert moved[0] == 3


@pytest.mark.parametrize("number", [1, 2])
def test_a_write_whose_answer_was_lost_is_one_arrival(small: World, number: int) -> None:
    """botocore sends it again; it knows itself."""
    (device,) = small.devices(1)
    left = [number]

    def twice(operation: str, proceed: Callable[[], Any]) -> Any:
        left[0] -= 1
        if not left[0]:
            proceed()
        return proceed()

    small.calls.between = twice
    assert asks(small, device) == 200
    if number == 2:
        left[0] = 2
        assert asks(small, device) == 200
    small.calls.between = None
    assert row(small, device).checkin_arrival == small.clock().timestamp() + 10 * number


def test_a_function_that_dies_at_the_write_has_taken_once_or_not_at_all(small: World) -> None:
    (device,) = small.devices(1)

    def dies(operation: str, proceed: Callable[[], Any]) -> Any:
        proceed()
        raise Killed

    small.calls.between = dies
    with pytest.raises(Killed):
        asks(small, device)
    small.calls.between = None
    assert [asks(small, device) for _ in range(3)] == [200, 200, 429]


def test_a_clock_that_jumps_back_locks_nobody_out(small: World) -> None:
    (device,) = small.devices(1)
    small.clock.advance(86_400)
    assert [asks(small, device) for _ in range(4)] == [200, 200, 200, 429]
    small.clock.advance(-86_400)
    assert asks(small, device) == 200
    assert asks(small, device) == 429, "and it has no second burst of it"
    small.clock.advance(small.settings.request_seconds)
    assert asks(small, device) == 200


def test_a_refused_device_comes_when_it_was_told_to(small: World) -> None:
    """The SDK's loop, whose key somebody else has used up: it sends nothing before the time, and then it is answered."""
    (device,) = small.devices(1)
    loop = Loop(device, Drift(0.1))
    device.clock, device.random = (lambda: small.clock.now.timestamp()), (lambda: 0.0)
    device.beat_after(0.0)
    assert [asks(small, device, BEAT) for _ in range(4)] == [200, 200, 200, 429]
    small.clock.advance(1.5)
    waits = loop.turn()
    assert loop._silent_until - device.clock() == 9.0, "8.5 seconds, rounded up"
    assert waits == 450.0, "and a refused heartbeat waits for half of its interval at the least"
    with small.calls.count() as calls:
        small.clock.advance(waits - 0.1)
        loop.turn()
    assert list(calls) == []
    small.clock.advance(loop.turn())
    loop.turn()
    assert row(small, device).last_seen_at == small.clock()


def test_no_seconds_are_no_limit() -> None:
    with closing(World(request_seconds=0.0, request_burst=1)) as world:
        world.model(rounds=0)
        (device,) = world.devices(1)
        assert {asks(world, device, path) for path in (CHECK_IN, BEAT) for _ in range(40)} == {200}
        assert row(world, device).checkin_arrival is None


def test_the_rate_follows_the_pace_and_one_that_refuses_who_obeys_is_refused() -> None:
    assert request_seconds("", 60.0) == 10.0
    assert request_seconds("", 0.6) == pytest.approx(0.1)
    assert (request_seconds("0", 60.0), request_seconds("60", 60.0)) == (0.0, 60.0)
    for said in ("61", "-1", "nan", "inf"):
        with pytest.raises(ValueError, match="MUSTER_REQUEST_SECONDS: expected 0 to 60"):
            request_seconds(said, 60.0)


def test_a_device_of_any_pace_is_never_throttled_by_the_rate_of_its_server() -> None:
    names = ("CLIENTS_TABLE", "ROUNDS_TABLE", "VERSIONS_TABLE", "MONITORING_TABLE", "BUCKET", "INSPECTION_QUEUE_URL",
             "WORK_QUEUE_URL", "ALERT_TOPIC_ARN")  # fmt: skip
    told = {"AWS_REGION": "x", **{f"MUSTER_{name}": "x" for name in names}}
    for tick, beat in ((60, 900), (0.2, 2), (86_400, 60), (10**6, 10**6)):
        made = Settings.from_environment({**told, "MUSTER_TICK_SECONDS": str(tick), "MUSTER_HEARTBEAT_SECONDS": str(beat)})
        assert 0 < made.request_seconds <= min(tick, beat) / 6


# ---- what a device says of its state


def test_the_state_that_a_device_says_is_stored_by_the_same_write_until_it_says_another(world: World) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    assert asks(world, device, state={"charging": True, "idle": False}) == 200
    assert row(world, device).readiness == Readiness(charging=True, idle=False)
    shown = world.operator.client(device.client_id)
    assert (shown.charging, shown.idle, shown.unmetered) == (True, False, None)
    world.clock.advance(60)
    with world.calls.count() as calls:
        assert asks(world, device, state={"unmetered": True}) == 200
    assert calls[:1] == ["UpdateItem"]
    assert row(world, device).readiness == Readiness(unmetered=True)
    nothing: list[dict[str, Any]] = [{}, {"state": {}}]
    for said in nothing:
        world.clock.advance(60)
        assert asks(world, device, state={"idle": True}) == 200
        world.clock.advance(60)
        assert asks(world, device, **said) == 200
        assert row(world, device).readiness is None, "what it does not say is not known"


@pytest.mark.parametrize(
    "state", [{"charging": "yes"}, {"charging": 1}, {"idle": [True]}, {"more": True}, [], "charging", True, {"unmetered": {}}]
)
def test_a_state_that_is_none_is_refused_and_nothing_is_stored(world: World, state: Any) -> None:
    world.model(rounds=0)
    (device,) = world.devices(1)
    refused(world, Problem.INVALID_BODY, "POST", CHECK_IN, key=world.key_of(device), body={"state": state})
    assert row(world, device).checkin_arrival is None


def test_a_device_asks_the_app_for_its_state_at_each_check_in(world: World) -> None:
    world.model(rounds=0)
    said = [DeviceState(charging=False), DeviceState(charging=True, unmetered=True)]
    folder = Path(world._folder.name) / "device"
    device = Device.enrol(
        API, world.token(), "device-1", model="toy", state_dir=folder, http=world.http(), state=lambda: said.pop()
    )
    device.check_in()
    assert row(world, device).readiness == Readiness(charging=True, unmetered=True)
    device.check_in()
    assert row(world, device).readiness == Readiness(charging=False)
    with pytest.raises(IndexError):
        device.check_in()


# ---- rows of before


def test_a_row_of_before_is_a_client_like_another(world: World) -> None:
    """Without the new attributes, as an earlier release wrote it; and rows of now have none of them until they are needed."""
    status, reply = enrol(world, enrolment(world.token()))
    assert status == 201
    new = ("readiness", "heartbeat_arrival", "checkin_arrival", "conduct")
    (stored,) = (found for found in world.everything()[0].values() if found.get("client_id") == "thermostat-7")
    assert not set(new) & stored.keys()
    shown = world.operator.client("thermostat-7")
    assert (shown.strikes, shown.quarantines, shown.quarantined, shown.quarantined_until) == (0, 0, False, None)
    assert world.request("POST", BEAT, key=reply["key"], body={}).status_code == 200
    assert math.isclose(world.services.clients.get("thermostat-7").heartbeat_arrival, world.clock().timestamp() + 10)  # type: ignore[union-attr, arg-type]
