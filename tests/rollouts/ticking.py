"""Worlds in which the next tick moves a rollout, and ticks that something happens to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
