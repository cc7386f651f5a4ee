"""A whole round of three updates, played."""

from __future__ import annotations

from typing import Any

from chalicelib.rounds.counters import PlaceKind
from tests.fleet import World

STEPS = [0.1, 0.25, 0.4]
EXAMPLES = [10, 20, 70]


def counted(world: World, kind: PlaceKind = "admitted") -> int:
    """Places of the toy model's last round that were given, as its counters have it."""
    rnd = world.services.rounds.latest("toy")
    assert rnd
    return sum(counters.counted(kind) for counters in world.services.counters.read(rnd))


def run_round(world: World, number: int = 1, **config: Any) -> str:
    """A round of three updates; the SHA-256 of the version that it published. The first makes the model."""
    if number == 1:
        world.model(**config)
    world.tick()
    devices = world.devices(3)
    for device, step, examples in zip(devices, STEPS, EXAMPLES, strict=True):
        world.update(device, step=step, examples=examples)
    world.play(devices)
    return world.operator.version("toy", number).checkpoint.sha256
