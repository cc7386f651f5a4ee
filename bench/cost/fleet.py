"""Devices without a framework: each is the SDK, and trains by adding a little to every number."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from infra.memory import MemoryCloud
from infra.memory.cloud import API
from muster import Device
from muster.device import Evaluation, TrainingResult
from muster.operator import Operator
from muster.wire.arrays import Array
from muster.wire.messages import Assignment

STEP = np.float32(0.1)

MOST_ASKED = 32
"""Check-ins with which a device finds a place, if there is one: each rules out two of at most 64 parts."""


class Adding:
    """A trainer that adds `STEP` to every number."""

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        """The model with a little added."""
        return TrainingResult({name: array + STEP for name, array in base.items()}, 10, {"train_loss": 0.9})

    def evaluate(self, weights: Mapping[str, Array]) -> Evaluation:
        """A model is as good as its numbers are large, so the next one is always better."""
        return Evaluation(10, {"accuracy": float(np.clip(0.5 + weights["layer.bias"].mean(), 0, 1))})


class SteadyFleet:
    """Devices that do what they are asked, and nothing else."""

    def __init__(self, cloud: MemoryCloud, model: str, clients: int, *, prefix: str = "device") -> None:
        token = Operator(API, http=cloud.http()).mint_token(clients).token
        self._folder = tempfile.TemporaryDirectory()
        self.devices: Sequence[Device] = [
            Device.enrol(API, token, name, model=model, state_dir=Path(self._folder.name) / name, http=cloud.http())
            for name in (f"{prefix}-{number:05d}" for number in range(clients))
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove what the devices have on their disks."""
        self._folder.cleanup()

    @staticmethod
    def update(device: Device) -> None:
        """Check in, train and report."""
        assignment = _asked(device)
        if assignment.kind != "train":
            raise RuntimeError(f"this is no run that can be billed: expected train, got {assignment.kind}")
        device.take_part(assignment, Adding())

    @staticmethod
    def judge(device: Device) -> None:
        """Check in, and judge if asked to."""
        assignment = _asked(device)
        if assignment.kind == "evaluate":
            device.judge(assignment, Adding())


def _asked(device: Device) -> Assignment:
    """What a device is to do. A check-in looks for a place in two parts of a round, so the last places take several."""
    for _ in range(MOST_ASKED):
        assignment = device.check_in()
        if assignment.kind != "wait" or assignment.reason != "round-full":
            break
    return assignment
