"""Runs the walk: the server, the device under test where it is the kit that starts it, and an end to everything."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from muster.conformance.checks import Board, Outcome, Result
from muster.conformance.http import Answer, Seen, serving
from muster.conformance.versions import ServedVersions, toy
from muster.conformance.walk import LAST_SECONDS, Walk
from muster.conformance.world import World

LOOK_SECONDS = 0.05
TAIL_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What a device has to be told."""

    url: str
    token: str
    client_id: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the walk went."""

    results: tuple[Result, ...]
    ended: str
    requests: int
    seconds: float
    output: tuple[str, ...]
    """The last lines that a device printed which the kit had started."""

    @property
    def conforms(self) -> bool:
        """Whether no required check failed."""
        return all(found.outcome is not Outcome.FAIL for found in self.results if found.check.required)


@dataclass(frozen=True, slots=True, kw_only=True)
class KitSettings:
    """What the kit is to do."""

    url: str = "http://127.0.0.1:0/api"
    """Where the device finds the API; port 0: any that is free."""
    command: str | None = None
    """Starts the device; `{url}`, `{token}`, `{client_id}`, `{model}` and `{folder}` are replaced."""
    model: str = "toy"
    metric: str = "accuracy"
    """By which the device is asked to judge."""
    client_id: str = "under-test"
    base: bytes | None = None
    """The checkpoint to begin with; None: a toy."""
    patience_seconds: float = 20.0
    """After so long without a request the walk is over."""
    fail_fast: bool = False
    """Whether it is over at the first required check that fails."""


class NoPlace(Exception):
    """The kit cannot stand where it was told to."""


def check(settings: KitSettings, introduce: Callable[[Introduction], None] = lambda _: None) -> Report:
    """Walk a device through the protocol. `introduce` is told what the device needs to know, before it is started.

    Raises:
        NoPlace: the URL is not one at which a server can stand.
        Unfit: the base is no tensor file.
        OSError: the device cannot be started.
    """
    parts = urlsplit(settings.url)
    if parts.scheme != "http" or parts.hostname is None or parts.query or parts.fragment:
        raise NoPlace(f"{settings.url!r} is no http:// URL of this machine")
    board = Board()
    world = World(settings.model, ServedVersions(settings.base or toy()), board)
    world.metric = settings.metric
    running = _Running(Walk(world, board, can_restart=settings.command is not None))
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            port = stack.enter_context(serving(parts.hostname, parts.port or 0, running.respond))
        except OSError as error:
            raise NoPlace(f"nobody can listen at {settings.url}: {error}") from error
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        url = f"http://{host}:{port}{parts.path.rstrip('/')}"
        world.stand_at(url)
        told = Introduction(url=url, token=world.token, client_id=settings.client_id, model=settings.model)
        introduce(told)
        output: tuple[str, ...] = ()
        if settings.command is None:
            ended = running.wait(settings, board, None)
        else:
            with _device(settings.command, told) as device:
                running.device = device
                ended = running.wait(settings, board, device)
            output = device.tail
        running.walk.end(ended)
    results = board.results(world.can or {"train", "evaluate"}, ended)
    return Report(results=results, ended=ended, requests=running.walk.seen, seconds=time.monotonic() - begun, output=output)


class _Running:
    """The walk, one request at a time, and what the kit does beside it."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.device: _Device | None = None
        self._lock = threading.Lock()
        self._bug: Exception | None = None
        """What went wrong in the kit itself."""

    def respond(self, seen: Seen) -> Answer:
        """The answer to a request of any connection."""
        with self._lock:
            try:
                answer = self.walk.answer(seen)
            except Exception as error:
                self._bug = error
                raise
            restart = self.walk.restart_wanted
        if restart and self.device:
            return replace(answer, before=self.device.restart)
        return answer

    def wait(self, settings: KitSettings, board: Board, device: _Device | None) -> str:
        """Wait for the end, and say which it was."""
        begun = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            now, walk = time.monotonic(), self.walk
            status = device.ended if device else None
            with self._lock:
                if self._bug is not None:
                    raise self._bug
                if walk.gone_at is not None and (now - walk.gone_at > LAST_SECONDS or status is not None):
                    return "the walk was walked to its end"
                if settings.fail_fast and board.has_failed:
                    return f"a check failed, in step {walk.step!r}"
                if status is not None:
                    return f"the device ended with status {status}, in step {walk.step!r}"
                if walk.is_stuck:
                    return f"the device was given the same place again and again, in step {walk.step!r}"
                if now - max(walk.last_at, begun) > settings.patience_seconds:
                    return f"no request came for {settings.patience_seconds:g} s, in step {walk.step!r}"


class _Device:
    """The device under test, as a process and its children."""

    def __init__(self, command: list[str], output: IO[bytes]) -> None:
        self._command = command
        self._output = output
        self._lock = threading.Lock()
        self._process = self._start()
        self.tail: tuple[str, ...] = ()

    @property
    def ended(self) -> int | None:
        """Its exit status, if it has ended by itself."""
        with self._lock:
            return self._process.poll()

    def restart(self) -> None:
        """Kill it, as a power cut would, and start it again."""
        with self._lock:
            self._kill()
            self._process = self._start()

    def stop(self) -> None:
        """Kill it for good, and keep the end of what it has printed."""
        with self._lock:
            self._kill()
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").splitlines()
        self.tail = tuple(lines[-TAIL_LINES:])

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 (what to start is what the caller typed)
            self._command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def _device(command: str, told: Introduction) -> Iterator[_Device]:
    """A started device, with a folder of its own; killed at the end."""
    with tempfile.TemporaryDirectory(prefix="muster-conformance-") as folder, tempfile.TemporaryFile() as output:
        names = {"url": told.url, "token": told.token, "client_id": told.client_id, "model": told.model}
        device = _Device(_filled(command, {**names, "folder": str(Path(folder) / "device")}), output)
        try:
            yield device
        finally:
            device.stop()


def _filled(command: str, names: Mapping[str, str]) -> list[str]:
    """A command's words, with the names in braces replaced."""
    words = shlex.split(command)
    for name, value in names.items():
        words = [word.replace("{" + name + "}", value) for word in words]
    return words
