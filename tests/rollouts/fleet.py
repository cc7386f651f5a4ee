"""Clients that only report: each says that it lives, what it runs, and what it measured of that."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from chalicelib.clients.client import Client, ClientState, Described
from chalicelib.clients.credentials import Credential
from chalicelib.rollouts.assigning import Side, given_to, side_of
from chalicelib.rollouts.report import RolloutReport, Verification
from muster.wire import messages as wire
from muster.wire.admin import Strategy
from tests.fleet import World, checkpoint

CANARY: dict[str, Any] = {"kind": "canary", "steps": [40.0], "pause_seconds": 60.0, "window_seconds": 60.0, "patience": 3}

Measure = Callable[[random.Random, int], float | None]
"""What a client measures of a version."""


def as_good(draw: random.Random, version: int) -> float:
    return min(1.0, max(0.0, draw.gauss(0.9, 0.05)))


def worse(draw: random.Random, version: int) -> float:
    return as_good(draw, version) - 0.3 * (version == 1)


def _enrolled(world: World, name: str) -> Credential:
    """As if a token had let it in."""
    key, now = Credential(name, "p" * 43), world.clock()
    client = Client(
        client_id=name, key_hash=key.hashed, state=ClientState.ACTIVE, device_type="edge", sdk_version="1", enrolled_at=now,
        last_seen_at=now,
    )  # fmt: skip
    world.add(client)
    return key


class Reporters:
    """Some clients of a model, without devices: a heartbeat each is all they say, and it needs no HTTP."""

    def __init__(self, world: World, count: int, model: str = "toy") -> None:
        self._world = world
        self._model = model
        self._keys = [_enrolled(world, f"client-{number:03d}") for number in range(count)]
        self._runs: dict[Credential, int] = dict.fromkeys(self._keys, 0)
        self._asked: dict[Credential, wire.RolloutQuestion] = {}
        self._said: set[tuple[Credential, str]] = set()
        self._draw = random.Random(7)
        self.ever: dict[int, set[Credential]] = {}
        """Who ever ran a version."""

    def beat(self, measure: Measure | None = as_good, *, silent: int | None = None) -> None:
        """A heartbeat of each: it reports what the last one was asked, and then runs what it is told to run.

        Without `measure` nobody reports; who should run the version `silent` is not heard of any more.
        """
        for key in self._keys:
            if self._runs[key] == silent:
                continue
            version = self._runs[key]
            report = None
            asked = self._asked.pop(key, None)
            if asked and measure and (key, asked.rollout) not in self._said:
                metrics = {name: measure(self._draw, version) for name in asked.metrics}
                report = wire.RunReport(rollout=asked.rollout, metrics=metrics, ready=asked.standby)
                self._said.add((key, asked.rollout))
            beat = wire.Heartbeat(model=self._model, version=version, report=report)
            reply = self._world.services.serving.heartbeat(key, beat)
            if reply.asks:
                self._asked[key] = reply.asks
            if reply.newer_version is not None:
                self._runs[key] = reply.newer_version
            self.ever.setdefault(self._runs[key], set()).add(key)

    @property
    def running(self) -> dict[int, int]:
        """How many run each version."""
        found: dict[int, int] = {}
        for version in self._runs.values():
            found[version] = found.get(version, 0) + 1
        return found


def candidate(world: World, **strategy: Any) -> int:
    """A model with a version 1 whose rollout has begun; its revision."""
    world.model(rounds=0)
    world.operator.register("toy", checkpoint(0.5))
    said = Strategy.model_validate(CANARY | strategy)
    return world.operator.deploy("toy", 1, strategy=said, revision=1).revision


def minutes(world: World, reporters: Reporters, count: int, measure: Measure | None = as_good, **how: Any) -> list[str]:
    """Some minutes of life, a heartbeat of each and a tick in each; the kinds of revisions that came of it."""
    before = world.operator.status("toy").deployment_revision
    for _ in range(count):
        world.clock.advance(60)
        reporters.beat(measure, **how)
        world.tick()
    log = world.operator.deployments("toy")
    return [str(one.kind) for one in log if one.revision > before][::-1]


def all_say(world: World, clients: Sequence[str], value: float | None) -> None:
    """Some clients have the candidate on their disks, and have reported: `value` of it, and 0.9 of the stable version."""
    present, store, now = world.services.registry.present("toy"), world.services.reports, world.clock()
    assert present.rollout is not None
    for client in clients:
        store.verify("toy", present.rollout, Verification(client_id=client, at=now, is_ready=True, ttl=0))
        side = side_of("toy", present.rollout, client)
        if side is not Side.REST:
            is_candidate = side is Side.CANDIDATE
            report = RolloutReport(
                client_id=client,
                version=given_to(Described(client_id=client), present).version,
                at=now,
                is_candidate=is_candidate,
                value=value if is_candidate else 0.9,
                ttl=0,
            )
            store.add("toy", present.rollout, report)
