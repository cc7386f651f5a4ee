"""A stack with something to see in it: models at different points of their lives, open alerts, and the rows of a fleet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from bench.cost.fleet import SteadyFleet
from bench.fleet.stack import client_id, store_clients
from chalicelib.monitoring.record import Record
from chalicelib.rounds.operators.places import PAGE
from chalicelib.rounds.round_id import RoundId
from infra.memory import MemoryCloud
from infra.memory.cloud import API
from muster.operator import Operator
from muster.wire.admin import RoundConfig, Strategy
from muster.wire.arrays import encode

ROUNDS, DEVICES = 3, 4
"""Of each model that has trained."""

CONFIG = RoundConfig(
    goal=DEVICES, quorum=DEVICES, over_selection=1.0, report_seconds=3600.0, grace_seconds=60.0, evaluators=DEVICES,
    evaluation_quorum=1, evaluation_level=0.5, evaluate_seconds=600.0,
)  # fmt: skip
BASE: dict[str, Any] = {"layer.weight": np.linspace(-1, 1, 100, dtype=np.float32), "layer.bias": np.zeros(10, np.float32)}

DAY_RECORDS = 280
"""Records of a day of a fleet, one every five minutes, less those that the bench makes itself."""

KINDS = ("collecting", "alerting", "rolling out", "resting", "new")
"""What models do, in turn."""


@dataclass(frozen=True, slots=True)
class ConsoleStack:
    """The cloud, its operator and its models, the first of which collects."""

    cloud: MemoryCloud
    operator: Operator
    models: tuple[str, ...]

    def minute(self) -> None:
        """Let a minute pass."""
        self.cloud.clock.advance(60)
        self.cloud.tick()
        self.cloud.deliver()
        self.cloud.monitor()
        self.cloud.deliver()


@contextmanager
def console_stack(models: int, clients: int) -> Iterator[ConsoleStack]:
    """So many models, and the rows of so many clients beside the devices that have trained."""
    cloud = MemoryCloud()
    try:
        names = tuple(f"model-{number:02d}" for number in range(models))
        stack = ConsoleStack(cloud, Operator(API, http=cloud.http()), names)
        for at, name in enumerate(names):
            _live(stack, name, KINDS[at % len(KINDS)])
        store_clients(cloud, names, clients)
        _store_day(stack)
        _store_receipts(stack)
        for _ in range(2):
            stack.minute()
        yield stack
    finally:
        cloud.close()


def _store_day(stack: ConsoleStack) -> None:
    """How many clients of each model were active over the last day, every five minutes."""
    store, now = stack.cloud.services.monitoring, stack.cloud.clock()
    for model in stack.models:
        for at in range(1, DAY_RECORDS + 1):
            counted = now - timedelta(minutes=5 * at)
            metrics = {"active_clients": 1000.0 + at % 7, "clients": 100_000.0, "unreadable_rows": 0.0}
            store.record(Record(model=model, at=counted, metrics=metrics, ttl=int(now.timestamp()) + 86_400), send=False)


def _store_receipts(stack: ConsoleStack) -> None:
    """A page of receipts, and one more, in the last round that the first model has completed."""
    rounds, rnd = stack.cloud.services.rounds, RoundId(stack.models[0], ROUNDS)
    kept = next(iter(rounds.receipts(rnd)))
    for number in range(PAGE):
        rounds.assign(replace(kept, client_id=client_id(number)))


def _live(stack: ConsoleStack, model: str, kind: str) -> None:
    operator = stack.operator
    operator.create_model(model, encode(BASE), CONFIG)
    if kind == "new":
        return
    if kind == "alerting":
        operator.set_threshold(model, "accepted_updates", minimum=100.0)
        operator.set_threshold(model, "accuracy", minimum=1.0)
    with SteadyFleet(stack.cloud, model, DEVICES, prefix=model) as fleet:
        operator.start(model, ROUNDS)
        for number in range(1, ROUNDS + 1):
            _round(stack, fleet, model, number)
        if kind == "collecting":
            operator.start(model, ROUNDS + 1)
            stack.minute()
            fleet.update(fleet.devices[0])
            stack.cloud.deliver()
    if kind == "alerting":
        operator.acknowledge(model, "accepted_updates")
        operator.silence(model, "accepted_updates", 86_400.0, "known")
    if kind == "rolling out":
        version = operator.register(model, encode({**BASE, "layer.bias": np.ones(10, np.float32)})).version
        strategy = Strategy(kind="rolling", steps=[25.0, 60.0], pause_seconds=86_400.0)
        seen = operator.status(model).deployment_revision
        operator.deploy(model, version, revision=seen, strategy=strategy, because="better in the lab")


def _round(stack: ConsoleStack, fleet: SteadyFleet, model: str, number: int) -> None:
    stack.minute()
    for device in fleet.devices:
        fleet.update(device)
    stack.cloud.deliver()
    stack.cloud.clock.advance(2)
    for device in fleet.devices:
        fleet.judge(device)
    stack.minute()
    rnd = stack.operator.round(model, number)
    if rnd.phase != "completed":
        raise RuntimeError(f"expected round {number} of {model} to complete, got {rnd.phase}: {rnd.reason}")
