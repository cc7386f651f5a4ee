"""The devices, each in a thread of its own: an app that runs the version it is given, and measures it when a rollout asks.

    a heartbeat ──▶ a rollout asks? measure, or have the next version stand by ──▶ another version to run? run it

A device hears of everything with a heartbeat, and of nothing in between. What it has run since when, and when it went to the
store, is noted where it happens: in the app, and in its HTTP client.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from muster.device import Device, Trainer, Unreachable

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Devices that enrol side by side."""

TIMEOUT_SECONDS = 30.0
LEAST_SECONDS, AGAIN_SECONDS = 0.05, 1.0


class Scanner:
    """One device and its app."""

    def __init__(self, client_id: str, trainer: Trainer, *, url: str, tls: ssl.SSLContext) -> None:
        self.client_id = client_id
        self.ran: list[tuple[datetime, int]] = []
        """The versions that it ran, each from when on."""
        self.downloads: list[datetime] = []
        """When it went to the store."""
        self.beats: list[datetime] = []
        """When it began a heartbeat that was answered."""
        self._trainer = trainer
        self._api = httpx.URL(url)
        self.http = httpx.Client(verify=tls, timeout=TIMEOUT_SECONDS, event_hooks={"request": [self._note]})

    @property
    def runs(self) -> int | None:
        """The version that it runs."""
        return self.ran[-1][1] if self.ran else None

    def run(self, device: Device) -> None:
        """Run what the server gives."""
        version, _ = device.model()
        if version != self.runs:
            self.ran.append((datetime.now(UTC), version))

    def live(self, device: Device, stop: threading.Event) -> None:
        """Run the version that is given, until told to stop. A server out of reach is no reason to end.

        Raises:
            Refused: the server said no.
        """
        while not stop.is_set():
            try:
                self._beat(device)
            except Unreachable as unreachable:
                log.warning("%s: %s", self.client_id, unreachable)
                stop.wait(AGAIN_SECONDS)
            stop.wait(max(LEAST_SECONDS, device.seconds_to_heartbeat))

    def _beat(self, device: Device) -> None:
        began = datetime.now(UTC)
        reply = device.heartbeat_if_due()
        if reply is None:
            return
        self.beats.append(began)
        device.answer_rollout(self._trainer)
        if reply.newer_version is not None or reply.asks is not None:
            self.run(device)

    def _note(self, request: httpx.Request) -> None:
        if (request.url.host, request.url.port) != (self._api.host, self._api.port):
            self.downloads.append(datetime.now(UTC))


class ScannerFleet:
    """Every scanner in a thread, from `__enter__` to `__exit__`."""

    def __init__(
        self, *, url: str, token: str, model: str, trainers: Sequence[Trainer], folder: Path, heartbeat_seconds: float
    ) -> None:
        tls = ssl.create_default_context()  # one for all: it takes longer to make than a device
        self.scanners = [
            Scanner(f"scanner-{number:03}", trainer, url=url, tls=tls) for number, trainer in enumerate(trainers, start=1)
        ]
        self._url = url
        self._token = token
        self._model = model
        self._folder = folder
        self._heartbeat_seconds = heartbeat_seconds
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(max_workers=len(self.scanners), thread_name_prefix="scanner")
        self._lives: list[Future[None]] = []

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(AT_ONCE) as doors:
            devices = list(doors.map(self._enrol, self.scanners))
        for number, (scanner, device) in enumerate(zip(self.scanners, devices, strict=True)):
            device.beat_after(self._heartbeat_seconds * number / len(devices))  # as spread as a fleet is that is not new
            self._lives.append(self._threads.submit(self._live, scanner, device))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._threads.shutdown()

    def __len__(self) -> int:
        return len(self.scanners)

    def check(self) -> None:
        """Raise when a device has given up.

        Raises:
            RuntimeError: one has; its own error is the cause.
        """
        for scanner, life in zip(self.scanners, self._lives, strict=True):
            if life.done():
                raise RuntimeError(f"{scanner.client_id} gave up: {life.exception()}") from life.exception()

    def running(self) -> Counter[int]:
        """How many devices run each version now."""
        return Counter(version for scanner in self.scanners if (version := scanner.runs) is not None)

    def ever_ran(self, version: int) -> int:
        """How many devices have run a version at any time."""
        return sum(any(one == version for _, one in scanner.ran) for scanner in self.scanners)

    def last_change(self) -> datetime:
        """When the last device came to the version that it runs."""
        return max(scanner.ran[-1][0] for scanner in self.scanners if scanner.ran)

    def most_beats(self, since: datetime) -> int:
        """The most heartbeats that a device began between a time and the version that it runs."""
        return max(
            sum(since <= beat <= scanner.ran[-1][0] for beat in scanner.beats) for scanner in self.scanners if scanner.ran
        )

    def downloads(self, since: datetime | None = None) -> int:
        """Requests to the store."""
        return sum(since is None or at >= since for scanner in self.scanners for at in list(scanner.downloads))

    def _enrol(self, scanner: Scanner) -> Device:
        state_dir = self._folder / scanner.client_id
        device = Device.enrol(
            self._url,
            self._token,
            scanner.client_id,
            model=self._model,
            state_dir=state_dir,
            can=["evaluate"],
            http=scanner.http,
        )
        scanner.run(device)
        return device

    def _live(self, scanner: Scanner, device: Device) -> None:
        try:
            scanner.live(device, self._stop)
        finally:
            device.close()
