"""A model in a cloud, with a device for each client of a Flower app, until its rounds have completed.

The devices are the SDK's own, each in a thread of its own with its folder; what they train with is given. The model's name and
the devices' ids belong to the state folder, so the same command goes on after a crash: the model and the devices are there, and
the rounds that have completed count.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster.device import Device
from muster.device.files import replace_file
from muster.device.trainer import Trainer
from muster.flower.errors import FlowerError, NotTrained, OtherRun
from muster.wire.admin import RoundConfig
from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES

if TYPE_CHECKING:
    from muster.operator.client import Operator

log = logging.getLogger(__name__)

MOST_ABANDONED = 3
"""Rounds that may be abandoned one after the other."""

LOOK_SECONDS = 1.0
"""How often the operator looks."""


@dataclass(frozen=True, slots=True)
class CompletedRound:
    """A round as the cloud knows it, and the model after it."""

    id: str
    arrays: dict[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlace:
    """Where a fleet is: the operators' client of its cloud, the devices' URL of it, and a folder of one's own."""

    operator: Operator
    url: str
    folder: Path
    http: Callable[[], Any] = lambda: None
    """Makes the HTTP client of a device; the SDK's own, unless given."""
    wait: Callable[[float], None] = time.sleep

    def model(self, app: str) -> str:
        """The model of this folder; its name is drawn the first time.

        Raises:
            OtherRun: the folder belongs to another app, or to another cloud.
        """
        file = self.folder / "model.json"
        if file.exists():
            known = json.loads(file.read_bytes())
            if (known["app"], known["url"]) != (app, self.url):
                raise OtherRun(
                    f"{self.folder} is of the app {known['app']} at {known['url']}, this is {app} at {self.url}: name another "
                    "folder with --state"
                )
            return str(known["model"])
        stem = re.sub(r"[^a-z0-9]+", "-", app.lower()).strip("-")[:32] or "app"
        name = f"{stem if stem[0].isalpha() else f'app-{stem}'}-{secrets.token_hex(4)}"
        replace_file(file, json.dumps({"app": app, "url": self.url, "model": name}).encode())
        return name


class CloudFleet:
    """Devices of one model, as long as the block lasts that it is used in."""

    def __init__(self, place: FleetPlace, model: str, trainers: Sequence[Trainer]) -> None:
        self._place = place
        self._model = model
        self._trainers = [_Watched(trainer, self._failed) for trainer in trainers]
        self._failure: FlowerError | None = None
        self._stop = threading.Event()

    def rounds(self, checkpoint: bytes, config: RoundConfig, rounds: int) -> Iterator[CompletedRound]:
        """Train the model, which is created unless it is there, and yield each round that completes, in order.

        Raises:
            FlowerError: an app answered with what cannot be used, or no round completes.
        """
        operator = self._place.operator
        operator.create_model(self._model, checkpoint, config)
        operator.start(self._model, rounds)
        with self._devices():
            completed, number, abandoned = 0, 1, 0
            while completed < rounds:
                rnd = operator.status(self._model).round
                if rnd is None or rnd.number < number or (rnd.number == number and rnd.finished_at is None):
                    self._check()
                    self._place.wait(LOOK_SECONDS)
                    continue
                ended = operator.round(self._model, number)
                number += 1
                if ended.version is None or ended.phase != "completed":
                    abandoned += 1
                    log.warning("round %d of %s was abandoned: %s", ended.number, self._model, ended.reason)
                    if abandoned == MOST_ABANDONED:
                        raise NotTrained(f"{abandoned} rounds of {self._model} were abandoned in a row: {ended.reason}")
                    continue
                completed, abandoned = completed + 1, 0
                version = operator.version(self._model, ended.version)
                arrays = decode(operator.download(version.checkpoint), HEADER_LIMIT_BYTES)
                yield CompletedRound(ended.round, arrays)

    @contextmanager
    def _devices(self) -> Iterator[None]:
        """Let all devices take part."""
        token = self._token()
        threads = []
        try:
            for number, trainer in enumerate(self._trainers):
                device = Device.enrol(
                    self._place.url,
                    token,
                    f"{self._model}-{number}",
                    model=self._model,
                    state_dir=self._place.folder / f"device-{number}",
                    http=self._place.http(),
                )
                thread = threading.Thread(target=self._run, args=(device, trainer), daemon=True)
                thread.start()
                threads.append(thread)
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=10.0)

    def _token(self) -> str:
        """What lets the devices enrol. It is kept: whose enrolment was cut off must come again with the same one."""
        file = self._place.folder / "token"
        if not file.exists():
            minted = self._place.operator.mint_token(len(self._trainers), label=self._model, models=[self._model])
            replace_file(file, minted.token.encode())
        return file.read_text()

    def _run(self, device: Device, trainer: Trainer) -> None:
        try:
            device.run(trainer, self._stop)
        except Exception as error:  # noqa: BLE001 (the main thread raises it)
            self._failed(FlowerError(f"the device {device.client_id} gave up: {error}"))
        finally:
            device.close()

    def _failed(self, error: FlowerError) -> None:
        self._failure = self._failure or error
        self._stop.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


class _Watched:
    """A trainer whose first failure ends the run: here somebody looks on, and a device would try again for hours."""

    def __init__(self, trainer: Any, failed: Callable[[FlowerError], None]) -> None:
        self._trainer = trainer
        self._told = failed

    def begin(self, context: Any) -> None:
        self._trainer.begin(context)

    def train(self, base: Any, hyperparameters: Any) -> Any:
        return self._noticing(lambda: self._trainer.train(base, hyperparameters))

    def evaluate(self, weights: Any) -> Any:
        return self._noticing(lambda: self._trainer.evaluate(weights))

    def _noticing(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except FlowerError as error:
            self._told(error)
            raise
