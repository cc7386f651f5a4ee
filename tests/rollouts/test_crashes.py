"""A tick that moves a rollout is killed at every call, and comes twice at every call: what comes out is the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from muster.wire.admin import DeploymentReply
from tests.fleet import World
from tests.rollouts.ticking import CASES, Killed, ready, ticked


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
    assert calls.count("PutItem") == 1 + 1, "one conditional write, and the tick's own mark"
    assert calls.count("Sign") == 1
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
