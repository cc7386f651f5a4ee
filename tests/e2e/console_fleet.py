"""A local cloud with something to see in it: models at different points of their lives, devices of three types, an open alert.

with ConsoleFleet(folder) as fleet:
    fleet.train(3)          # three rounds of `digits`, by real devices
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from infra.local import LocalCloud
from muster import Device
from muster.device import TrainingResult
from muster.operator import Operator
from muster.wire.admin import RoundConfig, Strategy
from muster.wire.arrays import Array, encode
from tests.fleet import BASE, CONFIG, Drift, checkpoint

MARKUP = '<img src=x onerror="window.evil = 1"> tried in the lab'
"""What somebody wrote into the history."""
TYPES = ("thermostat", "boiler", "gateway")
PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.2


class Learning(Drift):
    """A trainer whose loss falls as the model gets better."""

    def train(self, base: Mapping[str, Array], hyperparameters: Mapping[str, Any]) -> TrainingResult:
        told = super().train(base, hyperparameters)
        return TrainingResult(told.weights, told.examples, {"loss": float(1.2 - base["layer.bias"].mean())})


def spoilt(weights: dict[str, Array]) -> dict[str, Array]:
    """What inspection does not let pass: it is too long."""
    return {name: array + np.float32(1000.0) if array.dtype.kind == "f" else array for name, array in weights.items()}


class ConsoleFleet:
    """The cloud and its devices, from `__enter__` to `__exit__`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cloud = LocalCloud(api_processes=1, tick_seconds=0.5)

    def __enter__(self) -> Self:
        self.cloud.__enter__()
        self.operator = Operator(self.cloud.url)
        self._make()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for device in self.devices:
            device.close()
        self.operator.close()
        self.cloud.__exit__(kind, error, trace)

    def _make(self) -> None:
        config = {**CONFIG, "goal": 5, "quorum": 3, "evaluators": 3, "report_seconds": 600.0, "max_norm": 50.0}
        self.operator.create_model("digits", encode(BASE), RoundConfig(**config))
        self.operator.create_model("pumps", encode(BASE), RoundConfig(**config))
        self.operator.create_model("resting", encode(BASE), RoundConfig(**config))
        self.operator.register("pumps", checkpoint(0.2), note="from the lab")
        rolling = Strategy(kind="rolling", steps=[25.0, 60.0], pause_seconds=86_400.0)
        self.operator.deploy("pumps", 1, revision=1, strategy=rolling, because=MARKUP)
        self.operator.set_threshold("digits", "accepted_updates", minimum=100.0)
        token = self.operator.mint_token(9).token
        self.devices = [
            Device.enrol(
                self.cloud.url, token, f"{TYPES[at % 3]}-{at:02d}", model="digits", device_type=TYPES[at % 3],
                state_dir=self._folder / str(at),
            )
            for at in range(8)
        ]  # fmt: skip

    def train(self, rounds: int, while_open: Callable[[], None] | None = None) -> None:
        """Let so many more rounds of `digits` complete. `while_open` is called when one has opened, before anybody trains."""
        before = self.operator.status("digits").training.rounds_completed
        self.operator.start("digits", before + rounds)
        self.until(self._is_collecting)
        if while_open is not None:
            while_open()
        if before == 0:
            self._spoil()
        stop = threading.Event()
        threads = [threading.Thread(target=self._run, args=(at, stop)) for at in range(len(self.devices))]
        for thread in threads:
            thread.start()
        try:
            self.until(lambda: self.operator.status("digits").training.rounds_completed >= before + rounds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _spoil(self) -> None:
        """The last device sends what is rejected, before the round has enough."""
        self.until(lambda: self._sends_too_much(self.devices[-1]))
        self.until(lambda: bool(self.operator.round("digits", 1).rejected))

    def _sends_too_much(self, device: Device) -> bool:
        assignment = device.check_in()
        if assignment.kind != "train":
            return False
        device.take_part(assignment, Learning(0.1, spoil=spoilt))
        return True

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to happen in the cloud."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.cloud.log("workers")
            time.sleep(POLL_SECONDS)

    def _is_collecting(self) -> bool:
        rnd = self.operator.status("digits").round
        return rnd is not None and rnd.phase == "collecting"

    def _run(self, at: int, stop: threading.Event) -> None:
        self.devices[at].run(Learning(0.12 + at / 100), stop)
