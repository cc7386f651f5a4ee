"""The devices' threads: all enrol at once, then each lives its own life until the crew is left."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from examples.digits.devices import Behaviour, live
from examples.digits.place import Pace
from muster.device import Device
from muster.http.transport import TIMEOUT_SECONDS


class LimitedTransport(httpx.BaseTransport):
    """Sends no request before there is a place for it; the wait for that is not the server's."""

    def __init__(self, places: threading.Semaphore, behind: httpx.BaseTransport) -> None:
        self._places = places
        self._behind = behind

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, when it was this request's turn."""
        with self._places:
            return self._behind.handle_request(request)

    def close(self) -> None:
        """Give the connections back."""
        self._behind.close()


class Crew:
    """Every device in a thread of its own, from `__enter__` to `__exit__`."""

    def __init__(self, *, url: str, token: str, model: str, members: Sequence[Behaviour], folder: Path, pace: Pace) -> None:
        self._url = url
        self._token = token
        self._model = model
        self._members = members
        self._folder = folder
        self._pace = pace
        self._places = threading.Semaphore(pace.at_once)
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(max_workers=len(members), thread_name_prefix="device")
        self._lives: dict[str, Future[None]] = {}

    def __enter__(self) -> Self:
        try:
            devices = list(self._threads.map(self._enrol, self._members))
        except BaseException:
            self._threads.shutdown(cancel_futures=True)
            raise
        for member, device in zip(self._members, devices, strict=True):
            self._lives[member.client_id] = self._threads.submit(self._live, device, member)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._threads.shutdown()

    def check(self) -> None:
        """Raise when a device has given up. One whose key was revoked has left, as an operator wanted.

        Raises:
            RuntimeError: one has, its own error is the cause; or all have left.
        """
        over = {client_id: life.exception() for client_id, life in self._lives.items() if life.done()}
        for client_id, error in over.items():
            if error is not None:
                raise RuntimeError(f"{client_id} gave up: {error}") from error
        if over and len(over) == len(self._lives):
            raise RuntimeError("all devices have left: the key of each is good no more")

    def _enrol(self, member: Behaviour) -> Device:
        return Device.enrol(
            self._url,
            self._token,
            member.client_id,
            model=self._model,
            state_dir=self._folder / member.client_id,
            can=member.can,
            http=httpx.Client(transport=LimitedTransport(self._places, httpx.HTTPTransport()), timeout=TIMEOUT_SECONDS),
        )

    def _live(self, device: Device, member: Behaviour) -> None:
        try:
            live(device, member, self._stop, self._pace)
        finally:
            device.close()
