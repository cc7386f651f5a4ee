"""A tick that moves a rollout is killed at every call, and comes twice at every call: what comes out is the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from muster.wire.admin import DeploymentReply
from tests.fleet import World
from tests.rollouts.fleet import all_say, candidate


class Killed(BaseException):
    """The function's process is gone."""


CASES: dict[str, tuple[dict[str, Any], float | None]] = {
    "aborted": ({"guard": {"least": 10}}, 0.2),
    "promoted": ({"guard": {"least": 10, "margin": 0.4}}, 0.9),
    "stepped": ({"kind": "rolling", "steps": [40.0, 60.0]}, None),
    "paused": ({}, None),
    "stepped over two slots": ({"kind": "blue-green", "steps": []}, 0.9),
}


def about_to_move(world: World, case: str) -> None:
    """In the next tick a rollout moves."""
    strategy, value = CASES[case]
    candidate(world, **strategy)
    world.clock.advance(1)
    if value is not None:
        all_say(world, [f"client-{number:03d}" for number in range(60)], value)
    world.clock.advance(200)


def ready(case: str) -> World:
    world = World(heartbeat_seconds=60.0, heartbeat_timeout_seconds=180.0)
    world.relive(about_to_move, case=case)
    return world


def ticked(world: World, between: Callable[[str, Callable[[], Any]], Any] | None) -> None:
    world.calls.between = between
    try:
        world.tick()
    except Killed:
        pass
    finally:
        world.calls.between = None


@pytest.mark.parametrize("case", CASES)
def test_a_tick_that_is_killed_or_doubled_at_any_call_moves_a_rollout_once(case: str) -> None:
    calls: list[str] = []

    def counted(operation: str, proceed: Callable[[], Any]) -> Any:
        calls.append(operation)
        return proceed()

    with closing(ready(case)) as world:
        ticked(world, counted)
        expected = _log(world)
    assert expected[-1].kind == case.split()[0]
    assert calls.count("PutItem") == 1, "one conditional write"
    for at in range(len(calls)):
        for happen in ("killed before", "killed after", "twice"):
            with closing(ready(case)) as world:
                ticked(world, _at(world, at, happen))
                world.tick()
                found = _log(world)
                assert [_told(one) for one in found] == [_told(one) for one in expected], f"{happen} call {at}, {calls[at]}"


def _at(world: World, at: int, happen: str) -> Callable[[str, Callable[[], Any]], Any]:
    number = 0

    def between(operation: str, proceed: Callable[[], Any]) -> Any:
        nonlocal number
        number += 1
        if number - 1 != at:
            return proceed()
        if happen == "twice":
            world.calls.between = None
            world.tick()
            return proceed()
        if happen == "killed after":
            proceed()
        raise Killed(operation)

    return between


def _log(world: World) -> list[DeploymentReply]:
    return list(world.operator.deployments("toy"))[::-1]


def _told(one: DeploymentReply) -> tuple[object, ...]:
    return (
        one.revision,
        one.kind,
        one.version,
        one.left,
        one.because,
        one.rollout and (one.rollout.percent, one.rollout.paused),
    )
