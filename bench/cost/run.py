"""One round, really run in a cloud in this process: every device is the SDK, every call of the server is metered."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from bench.cost.fleet import SteadyFleet
from bench.cost.meter import Meter, Work
from infra.local.resources import template
from infra.memory import MemoryCloud
from infra.memory.cloud import API
from muster.operator import Operator
from muster.pricing.usage import Usage, added
from muster.wire.admin import RoundConfig
from muster.wire.arrays import encode

MODEL = "toy"

JUDGES = 15
"""What a model has unless it says otherwise (`RoundConfig.evaluators`)."""

HYPERPARAMETERS: dict[str, Any] = {"epochs": 5, "batch_size": 16, "learning_rate": 0.03, "momentum": 0.9}
"""Of the model: with some, as most models have, a round's row is longer than 1 KiB (`bench.cost.scale.ROUND_UNITS`)."""

IDLE_MINUTES = 60

COLLECTING_SECONDS = 200
"""In which the updates come, one after the other."""

CONFIG = json.loads((Path(__file__).parent.parent.parent / ".chalice/config.json").read_text())["stages"]["dev"]


def memory_mb() -> dict[str, int]:
    """Memory of each function, as it is deployed."""
    functions = {name: settings["lambda_memory_size"] for name, settings in CONFIG["lambda_functions"].items()}
    return {"api": CONFIG["lambda_memory_size"], **functions}


def resources_of(kind: str) -> list[dict[str, Any]]:
    """What the template has of a type."""
    return [resource for resource in template()["Resources"].values() if resource.get("Type") == kind]


def untraced() -> set[str]:
    """Functions whose runs are not traced, unless their caller's were."""
    names = {name.title().replace("_", ""): name for name in memory_mb()}
    found = template()["Resources"]
    return {names[name] for name in names if found.get(name, {}).get("Properties", {}).get("Tracing") == "PassThrough"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run used, by phase.

    `round` from the first check-in to the round's end · `waiting` every client but one asks once more and is told to wait ·
    `heartbeats` one of each client · `tick` an hour of it with nothing to do · `monitor` the same of it, the
    census included.
    """

    clients: int
    update_bytes: int
    used: dict[str, Usage]
    work: dict[str, dict[str, Work]]
    counts: dict[str, Counter[str]]
    device_get_bytes: int
    device_put_bytes: int
    metrics: int
    """Names of metrics that the model has."""
    counted: Usage
    """What the functions have counted themselves, in all phases (`chalicelib.spending`)."""


def play(clients: int, parameters: int, *, metering: bool = True) -> Run:
    """A round of so many clients, none of which fails, and of a model of so many float32 numbers. Each report is inspected
    when it comes: in a round that takes minutes, messages do not wait for each other. Without `metering` the functions do not
    count for themselves, which takes a write now and then.
    """
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="IAMAuthorizer is not a supported")
    cloud = MemoryCloud(delta_limit_bytes=0, metering=metering)  # whole downloads; what deltas save is a parameter of the bill
    try:
        return _played(cloud, clients, parameters)
    finally:
        cloud.close()
        logging.disable(logging.NOTSET)


def _played(cloud: MemoryCloud, clients: int, parameters: int) -> Run:
    tensors: dict[str, Any] = {
        "layer.weight": np.linspace(-1, 1, parameters - 10, dtype=np.float32),
        "layer.bias": np.zeros(10, np.float32),
    }
    judges = min(JUDGES, clients)
    config = RoundConfig(
        goal=clients, quorum=clients, over_selection=1.3, report_seconds=3600.0, grace_seconds=120.0,
        evaluators=judges, evaluation_quorum=1, evaluation_level=0.5, evaluate_seconds=600.0, hyperparameters=HYPERPARAMETERS,
    )  # fmt: skip
    operator = Operator(API, http=cloud.http())
    operator.create_model(MODEL, encode(tensors), config)
    operator.start(MODEL, 1)
    with SteadyFleet(cloud, MODEL, clients) as fleet:
        cloud.tick()
        cloud.clock.advance(60)
        meter = Meter(cloud, memory_mb(), untraced())
        cloud.calls.observer = cloud.services.platform = meter
        before = _counted(cloud)
        _round(cloud, fleet, meter, judges)
        _expect(operator.round(MODEL, 1).phase, "completed")
    with meter.phase("settling"):
        cloud.clock.advance(4 * 3600)
        cloud.monitor()  # of the fleet that the round has left; from now on nothing is news
    with meter.phase("tick"):
        for _ in range(IDLE_MINUTES):
            cloud.tick()
            cloud.clock.advance(60)
    with meter.phase("monitor"):
        for _ in range(IDLE_MINUTES):
            cloud.clock.advance(60)
            cloud.monitor()
    counted = _counted(cloud)
    counted.subtract(before)
    return Run(
        counted=counted,
        clients=clients,
        update_bytes=len(encode(tensors)),
        used=dict(meter.used),
        work={p: dict(w) for p, w in meter.work.items()},
        counts=dict(meter.counts),
        device_get_bytes=meter.device_get_bytes["round"],
        device_put_bytes=meter.device_put_bytes["round"],
        metrics=len(meter.metrics),
    )


def _counted(cloud: MemoryCloud) -> Usage:
    """All that the functions have counted and written down, or would have."""
    cloud.services.ledger.write_all()
    today = cloud.clock().date()
    days = (day for who in (None, MODEL) for day in cloud.services.spending.days(who, date.min, today).values())
    return added(*(day.used for day in days))


def _round(cloud: MemoryCloud, fleet: SteadyFleet, meter: Meter, judges: int) -> None:
    """From the first heartbeat to the round's end."""
    with meter.phase("heartbeats"):
        for device in fleet.devices:
            device.heartbeat_if_due()
    *others, last = fleet.devices
    for device in others:
        fleet.update(device)
        cloud.deliver()
        cloud.clock.advance(COLLECTING_SECONDS / len(fleet.devices))
    with meter.phase("waiting"):
        for device in others:
            cloud.clock.advance(COLLECTING_SECONDS / len(fleet.devices))
            _expect(device.check_in().kind, "wait")
    fleet.update(last)
    cloud.deliver()
    cloud.clock.advance(2)
    for device in fleet.devices[:judges]:
        fleet.judge(device)
    cloud.tick()
    cloud.monitor()


def _expect(got: str, expected: str) -> None:
    if got != expected:
        raise RuntimeError(f"this is no run that can be billed: expected {expected}, got {got}")


def parameters_of(nbytes: int) -> int:
    """Of a float32 model whose file is about so long."""
    return math.ceil(nbytes / 4)
