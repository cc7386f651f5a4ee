"""A canary whose candidate is worse, and devices that say so: the SDK, and a trainer that knows what it should measure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from muster import Device, TrainingResult
from muster.device import Evaluation
from muster.operator import Operator
from muster.wire.admin import GuardRule, RoundConfig, Strategy
from muster.wire.arrays import Array, encode
from tests.fleet import BASE

MODEL, CLIENTS, PATIENCE_SECONDS = "sensors", 16, 90.0
WORSE: Mapping[str, Array] = {**BASE, "layer.bias": np.ones(3, np.float32)}


class Knowing:
    """Measures 0.9 of the base, and 0.2 of the other version."""

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        """Nobody asks for it."""
        raise NotImplementedError

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """Ten examples."""
        return Evaluation(10, {"accuracy": 0.2 if weights["layer.bias"].any() else 0.9})


def reported(operator: Operator, url: str, folder: Path) -> int:
    """Begin a rollout to half of some devices, each of which says once what it measures; the revision in which it began."""
    operator.create_model(MODEL, encode(BASE), RoundConfig(goal=10, quorum=10))
    operator.register(MODEL, encode(WORSE))
    strategy = Strategy(kind="canary", steps=[50.0], pause_seconds=1.0, window_seconds=20.0, guard=GuardRule(least=4))
    began = operator.deploy(MODEL, 1, strategy=strategy, revision=1).revision
    token, trainer = operator.mint_token(CLIENTS, models=[MODEL]).token, Knowing()
    for number in range(CLIENTS):
        name = f"sensor-{number:02d}"
        with closing(Device.enrol(url, token, name, model=MODEL, state_dir=folder / name)) as device:
            _answer(device, trainer)
    return began


def _answer(device: Device, trainer: Knowing) -> None:
    """Send heartbeats until the device has been asked and has answered; a function may not know of the rollout at once."""
    deadline, answers = time.monotonic() + PATIENCE_SECONDS, 0
    while answers < 2:
        assert time.monotonic() < deadline, f"{device.client_id} was asked nothing"
        device.beat_after(0.0)
        reply = device.heartbeat_if_due()
        assert reply is not None
        answers += reply.asks is not None or answers > 0
        device.answer_rollout(trainer)
