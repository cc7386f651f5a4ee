"""A stage for one device: the server of `bench.trouble` in virtual time, where a test may answer a request in its place."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bench.trouble import simulation
from bench.trouble.server import BASE, STORE, Clock, Server, assignment
from bench.trouble.simulation import Adds
from muster.device import Device, TrainingContext
from muster.device.loop import Loop
from muster.device.trainer import Trainer

Answer = httpx.Response | Exception | None
"""None: what the server would say."""

HEARTBEAT, CHECK_IN, UPLOAD, PUT, REPORT, GET = (
    "/heartbeat",
    "/checkin",
    "/upload",
    "/updates/boiler",
    "/report",
    "/base/boiler",
)
ROUTES = [HEARTBEAT, CHECK_IN, UPLOAD, PUT, REPORT, GET]


class Stage:
    """`stage.answers[route]` is asked first; `stage.asked` has every request: its time, its path and its body."""

    def __init__(self, folder: Path, fleet: Any = "trains", seed: int = 0) -> None:
        self.clock = Clock()
        self.server = Server(self.clock, fleet, "500", 0.0, 0.0)
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.asked: list[tuple[float, str, bytes]] = []
        self._folder = folder
        self._dice = random.Random(seed)
        self.device = self.start()
        self._loop: Loop | None = None

    def start(self) -> Device:
        """The process of the device begins (anew)."""
        device = simulation.device(self.server, self.clock, "boiler", self._folder, self._dice.random)
        device._transport.http = httpx.Client(transport=httpx.MockTransport(self._answer))
        return device

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((self.clock.now, request.url.path, request.read()))
        for route, answer in self.answers.items():
            found = answer() if request.url.path.endswith(route) else None
            if isinstance(found, Exception):
                raise found
            if found is not None:
                return found
        return self.server.answer(request)

    def play(self, trainer: Trainer, seconds: float) -> None:
        """Let the device live for so long."""
        until = self.clock.now + seconds
        self._loop = self._loop or Loop(self.device, trainer)
        self._loop._trainer = trainer
        while self.clock.now < until:
            waits = self._loop.turn()
            assert 0.0 <= waits <= 86_400 * 1.25
            self.clock.now += max(waits, 0.001)

    def times(self, route: str) -> list[float]:
        """When a route was asked."""
        return [at for at, path, _ in self.asked if path.endswith(route)]

    def bodies(self, route: str) -> list[Any]:
        """What was said to it."""
        return [json.loads(body) for _, path, body in self.asked if path.endswith(route)]


def judging(number: int, **more: Any) -> httpx.Response:
    """A place to judge a candidate."""
    base: Any = assignment(number, "boiler")["base"]
    versions = {"candidate": {**base, "version": 1}, "deployed": base}
    return httpx.Response(
        200, json={"kind": "evaluate", "round": f"toy.{number}", "report_by": "2026-01-01T00:00:00Z", **versions, **more}
    )


class Judge(Adds):
    """A trainer that measures what it is told to."""

    def __init__(self, found: Any) -> None:
        self.found, self.measured = found, 0

    def evaluate(self, weights: Any) -> Any:
        self.measured += 1
        if isinstance(self.found, BaseException):
            raise self.found
        return self.found


class Told(Adds):
    """A trainer that notes what it is told, and when it is asked for what."""

    def __init__(self) -> None:
        self.contexts: list[TrainingContext] = []
        self.calls: list[str] = []

    def begin(self, context: TrainingContext) -> None:
        self.contexts.append(context)
        self.calls.append("begin")

    def train(self, base: Any, hyperparameters: Any) -> Any:
        self.calls.append("train")
        return super().train(base, hyperparameters)

    def evaluate(self, weights: Any) -> Any:
        self.calls.append("evaluate")
        return super().evaluate(weights)


__all__ = [
    "BASE",
    "CHECK_IN",
    "GET",
    "HEARTBEAT",
    "PUT",
    "REPORT",
    "ROUTES",
    "STORE",
    "UPLOAD",
    "Judge",
    "Stage",
    "Told",
    "assignment",
    "judging",
]
