"""A fleet of real devices in virtual time: each turn of a device's loop is an event, and says when its next one is."""

from __future__ import annotations

import heapq
import logging
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.trouble.server import API, HEARTBEAT_SECONDS, Asked, Clock, Fleet, Server, Trouble
from muster.device import Device, Evaluation, TrainingResult
from muster.device.identity import Identity
from muster.device.loop import Loop
from muster.device.trainer import Hyperparameters, Trainer
from muster.device.transport import DeviceTransport
from muster.wire.arrays import Array

WARM_UP, BEFORE, OUTAGE, AFTER = 1200.0, 1800.0, 1800.0, 2700.0
"""Seconds: until all are under way, and then of what is looked at."""


class Adds:
    """A trainer that adds one to everything, at once."""

    def train(self, base: Mapping[str, Array], hyperparameters: Hyperparameters) -> TrainingResult:
        """The base plus one."""
        return TrainingResult({name: array + array.dtype.type(1) for name, array in base.items()}, 10)

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """As good as can be."""
        return Evaluation(10, {"accuracy": 1.0})


def device(server: Server, clock: Clock, client_id: str, folder: Path, dice: Callable[[], float]) -> Device:
    """A device that is enrolled already."""
    transport = DeviceTransport(API, http=server.http(), sleep=clock.sleep)
    identity = Identity(url=API, client_id=client_id, proof="p", key=f"{client_id}.secret")
    return Device(transport=transport, identity=identity, model="toy", folder=folder / client_id, clock=clock, random=dice)


def live(loops: Mapping[float, Loop], clock: Clock, until: float) -> None:
    """Let loops, by the time of their first turn, take their turns."""
    events = [(at, number, loop) for number, (at, loop) in enumerate(loops.items())]
    heapq.heapify(events)
    while events and events[0][0] < until:
        clock.now, number, loop = heapq.heappop(events)
        seconds = loop.turn()
        heapq.heappush(events, (clock.now + max(seconds, 0.001), number, loop))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageCourse:
    """What a fleet sent."""

    devices: int
    before: float
    during: float
    after: tuple[float, ...]
    """Requests a device and interval (15 minutes): before, during, and in each interval after the outage."""
    back: tuple[float, ...]
    """By device, the seconds from the outage's end to the first answer to what it does otherwise, sorted. A device that did not
    come back is not in it.
    """
    busiest: tuple[float, float, float]
    """Requests in the busiest second before, during and after, averaged over 10 seconds."""

    @property
    def share(self) -> float:
        """Requests during the outage, as a fraction of the usual ones."""
        return self.during / self.before


def observe(devices: int, fleet: Fleet, trouble: Trouble, folder: Path, seed: int = 0) -> OutageCourse:
    """Let a fleet live through an outage of 30 minutes."""
    clock = Clock()
    start = WARM_UP + BEFORE
    server = Server(clock, fleet, trouble, start, start + OUTAGE, seed)
    dice = random.Random(f"{seed}/starts")  # noqa: S311 (dice)
    trainer: Trainer = Adds()
    loops = {}
    for number in range(devices):
        name = f"device-{number:04d}"
        own = random.Random(f"{seed}/{name}")  # noqa: S311 (dice)
        made = device(server, clock, name, folder, own.random)
        loops[dice.uniform(0, HEARTBEAT_SECONDS)] = Loop(made, trainer)
    live(loops, clock, start + OUTAGE + AFTER)
    end = start + OUTAGE
    edges = [end + HEARTBEAT_SECONDS * n for n in range(int(AFTER / HEARTBEAT_SECONDS) + 1)]
    return OutageCourse(
        devices=devices,
        before=_rate(server.asked, devices, start - BEFORE, start),
        during=_rate(server.asked, devices, start, end),
        after=tuple(_rate(server.asked, devices, a, b) for a, b in pairwise(edges)),
        back=_back(server.asked, fleet, end),
        busiest=(
            _busiest(server.asked, start - BEFORE, start),
            _busiest(server.asked, start, end),
            _busiest(server.asked, end, edges[-1]),
        ),
    )


def observe_quietly(devices: int, fleet: Fleet, trouble: Trouble, seed: int) -> OutageCourse:
    """The same in a process of its own: without the log of some ten thousand troubles, and in a folder that goes."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        return observe(devices, fleet, trouble, Path(folder), seed)


def _rate(asked: list[Asked], devices: int, since: float, until: float) -> float:
    sent = sum(since <= one.at < until for one in asked)
    return sent / devices / ((until - since) / HEARTBEAT_SECONDS)


def _back(asked: list[Asked], fleet: Fleet, end: float) -> tuple[float, ...]:
    wanted = "/v1/heartbeat" if fleet == "rests" else "/v1/models/toy/checkin"
    first: dict[str, float] = {}
    for one in asked:
        if one.at >= end and one.path == wanted and one.answered:
            first[one.client_id] = min(one.at - end, first.get(one.client_id, one.at - end))
    return tuple(sorted(first.values()))


def _busiest(asked: list[Asked], since: float, until: float, width: float = 10.0) -> float:
    buckets: dict[int, int] = {}
    for one in asked:
        if since <= one.at < until:
            buckets[int(one.at // width)] = buckets.get(int(one.at // width), 0) + 1
    return max(buckets.values(), default=0) / width
