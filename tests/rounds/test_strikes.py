"""Updates that are rejected for what they are: counted against their client, which is then given no work for a while."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from chalicelib.clients.client import Client, Conduct
from chalicelib.rounds.receipt import STRIKES
from chalicelib.rounds.round_id import RoundId
from infra.memory.calls import Killed
from muster import Device
from muster.http.errors import Refused
from muster.wire import messages as wire
from muster.wire.arrays import encode
from muster.wire.problems import Problem
from muster.wire.reasons import Reason
from tests.clients.enrolling import enrol, enrolment
from tests.fleet import World
from tests.refusals import UPDATE

BAD = encode({**UPDATE, "layer.bias": np.full(3, np.nan, np.float32)})
GOOD = encode(UPDATE)
HOUR = 3600.0


@pytest.fixture
def device(world: World) -> Device:
    world.model(goal=2, quorum=1, evaluators=0, rounds=100, report_seconds=300.0)
    (made,) = world.devices(1)
    return made


def opened(world: World) -> str:
    """The next round, which collects."""
    world.clock.advance(430)
    world.tick()
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    rnd = world.services.rounds.latest("toy")
    assert rnd
    assert rnd.phase.value == "collecting"
    return str(rnd.id)


def sends(world: World, device: Device, update: bytes) -> str:
    """A round in which the device reports this update."""
    name = opened(world)
    assert device.check_in().kind == "train"
    device.submit(name, update, 5, {})
    return name


def struck(world: World, device: Device, times: int = 3) -> None:
    for _ in range(times):
        sends(world, device, BAD)
        world.deliver()


def row(world: World, device: Device) -> Client:
    found = world.services.clients.get(device.client_id)
    assert found
    return found


def conduct(world: World, device: Device) -> Conduct:
    return row(world, device).conduct or Conduct()


def waits(device: Device) -> wire.Wait:
    assignment = device.check_in()
    assert isinstance(assignment, wire.Wait)
    return assignment


def test_three_bad_updates_in_a_row_are_a_quarantine_from_work_and_from_nothing_else(world: World, device: Device) -> None:
    struck(world, device, 2)
    assert (conduct(world, device).strikes, conduct(world, device).quarantines) == (2, 0)
    struck(world, device, 1)
    shown = world.operator.client(device.client_id)
    assert (shown.strikes, shown.quarantines, shown.quarantined) == (3, 1, True)
    opened(world)
    waiting = waits(device)
    left = HOUR - 430 - world.settings.memory_seconds
    assert (waiting.reason, waiting.retry_after_seconds) == ("quarantined", left)
    assert shown.quarantined_until
    assert world.request("POST", "/v1/heartbeat", key=world.key_of(device), body={"model": "toy"}).status_code == 200
    assert device.model()[0] == 0
    assert [found.client_id for found in world.operator.clients(quarantined=True)] == [device.client_id]
    assert list(world.operator.clients(quarantined=False)) == []


def test_after_the_quarantine_it_is_given_work_and_the_next_bad_update_begins_one_of_twice_the_time(
    world: World, device: Device
) -> None:
    struck(world, device)
    world.clock.advance(HOUR)
    assert not world.operator.client(device.client_id).quarantined
    struck(world, device, 1)
    assert (conduct(world, device).strikes, row(world, device).quarantine_left(world.clock())) == (4, 2 * HOUR)
    opened(world)
    assert waits(device).retry_after_seconds == HOUR, "it hears of a release within the hour"


def test_an_accepted_update_in_between_clears_the_strikes(world: World, device: Device) -> None:
    struck(world, device, 2)
    sends(world, device, GOOD)
    world.deliver()
    assert (conduct(world, device).strikes, row(world, device).rounds) == (0, 1)
    struck(world, device, 2)
    assert (conduct(world, device).strikes, conduct(world, device).quarantines) == (2, 0)


def test_a_quarantined_client_does_not_judge_either(world: World) -> None:
    world.model(goal=1, quorum=1, evaluators=2, evaluation_quorum=1, evaluate_seconds=3000)
    judge, trainer = world.devices(2)
    for number in range(3):
        world.services.reputation.strike(judge.client_id, f"other.{number + 1}")
    world.tick()
    world.update(trainer)
    world.deliver()
    world.tick()
    world.clock.advance(300)
    assert waits(judge).reason == "quarantined"
    world.operator.release(judge.client_id)
    world.clock.advance(10)
    assert judge.check_in().kind == "evaluate"


def test_an_inspection_that_dies_at_any_call_comes_again_and_strikes_once(world: World, device: Device) -> None:
    """Before a call, and after it: also between its word on the receipt and the strike."""
    expected, at, seen = 0, 0, [1, 1]
    while at < 2 * seen[0] + 2:
        name = RoundId.parse(sends(world, device, BAD))
        assert name
        seen = [0]

        def dies(_: str, proceed: Callable[[], Any], at: int = at, seen: list[int] = seen) -> Any:
            seen[0] += 1
            if at == 2 * (seen[0] - 1):
                raise Killed
            answer = proceed()
            if at == 2 * (seen[0] - 1) + 1:
                raise Killed
            return answer

        world.calls.between = dies
        with suppress(Killed):
            world.services.inspector.inspect(name, device.client_id)
        world.calls.between = None
        expected += 1
        for _ in range(2):
            world.services.inspector.inspect(name, device.client_id)
            assert device.receipt(str(name)).state == "rejected"
            assert conduct(world, device).strikes == expected
        at += 1
        world.clock.advance(2 * 86_400)
    assert at >= 14


def test_a_strike_whose_answer_was_lost_counts_once(world: World, device: Device) -> None:
    seen = [0]

    def twice(called: str, proceed: Callable[[], Any]) -> Any:
        seen[0] += called == "UpdateItem"
        if called == "UpdateItem":
            proceed()
        return proceed()

    world.calls.between = twice
    world.services.reputation.strike(device.client_id, "toy.1")
    assert (conduct(world, device).strikes, seen) == (1, [1])


@pytest.mark.parametrize("first", ["strike", "credit", "release"])
def test_what_is_counted_at_the_same_time_is_counted_one_after_the_other(world: World, device: Device, first: str) -> None:
    reputation, name = world.services.reputation, device.client_id
    for number in (1, 2):
        reputation.strike(name, f"toy.{number}")
    meanwhile: dict[str, Callable[[], Any]] = {
        "strike": lambda: reputation.strike(name, "toy.3"),
        "credit": lambda: reputation.credit(name, "toy.4", 5),
        "release": lambda: reputation.release(name),
    }

    def rival(called: str, proceed: Callable[[], Any]) -> Any:
        if called == "UpdateItem":
            world.calls.between = None
            meanwhile[first]()
        return proceed()

    world.calls.between = rival
    reputation.strike(name, "toy.5")
    counted = conduct(world, device)
    expected = {"strike": (4, 1), "credit": (1, 0), "release": (1, 0)}[first]
    assert (counted.strikes, counted.quarantines) == expected
    assert "toy.5" in counted.rounds


def test_an_operator_lets_a_client_go_before_its_time(world: World, device: Device) -> None:
    struck(world, device)
    released = world.operator.release(device.client_id)
    assert (released.strikes, released.quarantines, released.quarantined, released.quarantined_until) == (0, 0, False, None)
    assert world.operator.release(device.client_id) == released
    opened(world)
    assert device.check_in().kind == "train"
    with pytest.raises(Refused) as unknown:
        world.operator.release("nobody-1")
    assert unknown.value.problem is Problem.UNKNOWN_CLIENT


def test_a_release_of_a_client_without_strikes_writes_nothing(world: World, device: Device) -> None:
    with world.calls.count() as calls:
        world.operator.release(device.client_id)
    assert set(calls) == {"GetItem"}


def test_what_others_decide_or_time_does_is_no_strike(world: World, device: Device) -> None:
    """An outlier is one beside others, and liars may be many; a lost object is not its client's doing."""
    innocent = {
        Reason.NORM_OUTLIER, Reason.UPLOAD_CHANGED, Reason.CLIENT_REVOKED, Reason.ROUND_CLOSED, Reason.ROUND_ABANDONED,
        Reason.TOO_LARGE,
    }  # fmt: skip
    assert set(Reason) - innocent == STRIKES
    name = sends(world, device, GOOD)
    (listed,) = world.s3.list_objects_v2(Bucket=world.settings.bucket, Prefix="updates/")["Contents"]
    world.s3.delete_object(Bucket=world.settings.bucket, Key=listed["Key"])
    world.deliver()
    assert device.receipt(name).reason == "upload-changed"
    late = sends(world, device, BAD)
    world.clock.advance(1000)
    world.tick()
    world.deliver()
    assert device.receipt(late).state in ("late", "rejected")
    assert (device.receipt(late).state == "rejected") == bool(conduct(world, device).strikes)


def test_who_enrols_again_has_the_strikes_that_it_had(world: World) -> None:
    status, first = enrol(world, enrolment(token := world.token()))
    world.services.reputation.strike("thermostat-7", "toy.1")
    assert enrol(world, enrolment(token)) == (status, first)
    assert world.operator.client("thermostat-7").strikes == 1


def test_nobody_gets_another_client_struck(world: World, device: Device) -> None:
    """What is sent in the name of another, without its key, reaches no inspection."""
    liar, _ = world.devices(2)
    name = opened(world)
    device.check_in()
    liar.check_in()
    for path, body in (
        (f"/v1/rounds/{name}/upload", {"bytes": len(BAD), "sha256": "0" * 64, "examples": 1}),
        (f"/v1/rounds/{name}/report", {"sha256": "0" * 64}),
    ):
        forged = f"{device.client_id}.{world.key_of(liar).partition('.')[2]}"
        assert world.request("POST", path, key=forged, body=body).status_code == 401
    liar.submit(name, BAD, 5, {})
    world.deliver()
    assert (conduct(world, liar).strikes, conduct(world, device).strikes) == (1, 0)
