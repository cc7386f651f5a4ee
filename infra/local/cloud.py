"""Starts, watches, restarts and stops the processes of the local cloud.

Whatever asks (the API, the workers) keeps nothing, and is started again when it dies, on the same socket. What answers for AWS
keeps everything in its memory: when it dies, so has the cloud.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.local import resources

ROOT = Path(__file__).parent.parent.parent
STOP_SECONDS = 10.0
START_SECONDS = 60.0

LOOK_SECONDS = 0.1
SHORTEST_BREAK_SECONDS, LONGEST_BREAK_SECONDS = 0.1, 5.0
"""Before a process that died is started again; each break is twice as long as the one before."""
STEADY_SECONDS = 30.0
"""Who lived so long was well."""
MOST_DEATHS = 6
"""In a row: then it is not started any more."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
"""moto takes any; nothing outside this machine knows them."""

AWS = {"dynamodb": "AWS_ENDPOINT_URL_DYNAMODB", "aws": "AWS_ENDPOINT_URL"}
"""Two moto processes: one for DynamoDB, which has most of the work, and one for everything else. The variables are those by
which every AWS SDK finds an endpoint (AWS SDKs reference: "Service-specific endpoints").
"""


@dataclass
class _Kept:
    """A process, and how to start it again."""

    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes]
    again: bool
    """Whether it may be started again."""
    born: float
    farewell: signal.Signals = signal.SIGTERM
    """What tells it to end, and soon."""
    died: float | None = None
    deaths: int = 0
    """In a row."""

    def revive(self, now: float) -> None:
        """Start it again if it has died, may live, and its break is over."""
        if self.process.poll() is None or self.is_lost:
            return
        if self.died is None:
            self.died = now
            self.deaths = self.deaths + 1 if now - self.born < STEADY_SECONDS else 1
        if not self.is_lost and now - self.died >= min(LONGEST_BREAK_SECONDS, SHORTEST_BREAK_SECONDS * 2**self.deaths):
            self.process, self.born, self.died = self.start(), now, None

    @property
    def is_lost(self) -> bool:
        """Whether it is dead and stays so."""
        return self.process.poll() is not None and (not self.again or self.deaths >= MOST_DEATHS)


class LocalCloud:
    """The whole cloud, from `__enter__` to `__exit__`; it leaves neither processes nor files behind.

    `api_processes` answer requests side by side. `tick_seconds` is the interval of the schedule, and the pace at which
    devices are asked to come back. `settings` are further `MUSTER_…` variables for the functions.
    """

    def __init__(
        self, *, api_processes: int = 2, tick_seconds: float = 1.0, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        self._api_processes = api_processes
        self._tick_seconds = tick_seconds
        self._port = port
        self._settings = dict(settings or {})
        self._folder = Path()
        self._running: dict[str, _Kept] = {}
        self._listeners: list[socket.socket] = []
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._clients: list[Any] = []
        self.url = ""
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="muster-local-"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def check(self) -> None:
        """Raise when a process has died and cannot be started again, with the end of its log.

        Raises:
            RuntimeError: one has.
        """
        for name, kept in self._running.items():
            if kept.is_lost:
                raise RuntimeError(f"{name} ended with status {kept.process.returncode}:\n{self.log(name)}")

    def log(self, name: str, lines: int = 40) -> str:
        """The end of a process's log: `dynamodb`, `aws`, `api` or `workers`."""
        path = self._folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def close(self) -> None:
        """Stop the processes, those that ask before those that answer, and remove what they wrote.

        A server is not asked to wait for connections that its clients keep open: nothing here outlives it anyway, and who was
        being answered will ask again.
        """
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for kept in reversed(self._running.values()):
            kept.process.send_signal(kept.farewell)
            with suppress(subprocess.TimeoutExpired):
                kept.process.wait(STOP_SECONDS)
            with suppress(ProcessLookupError):  # and what it has left behind, if anything
                os.killpg(kept.process.pid, signal.SIGKILL)
            kept.process.wait()
        self._running.clear()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for client in self._clients:
            client.close()
        self._clients.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MUSTER_"))}
        self.environment = dict(CREDENTIALS)
        moto = {
            variable: self._serve(name, "infra.local.aws:application", base | CREDENTIALS, processes=1, port=0)
            for name, variable in AWS.items()
        }
        for url in moto.values():
            self._await(f"{url}/moto-api/")
        self.environment |= moto
        made = resources.create(self.client)
        tick = self._tick_seconds
        pace = {
            "MUSTER_TICK_SECONDS": str(tick), "MUSTER_MEMORY_SECONDS": str(tick / 2),
            "MUSTER_HEARTBEAT_SECONDS": str(10 * tick), "MUSTER_CENSUS_SECONDS": str(10 * tick),
        }  # fmt: skip
        self.environment |= made | pace | self._settings
        self.url = self._serve(
            "api", "infra.local.gateway:application", base | self.environment, processes=self._api_processes, port=self._port
        )
        self._spawn("workers", [sys.executable, "-m", "infra.local.workers"], base | self.environment)
        self._watcher.start()
        self._await(f"{self.url}/v1/health")

    def client(self, service: str) -> Any:
        """A boto3 client that looks into this cloud's AWS; closed with the cloud."""
        made = boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.environment.get(f"AWS_ENDPOINT_URL_{service.upper()}", self.environment["AWS_ENDPOINT_URL"]),
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self._clients.append(made)
        return made

    def _serve(self, name: str, application: str, env: Mapping[str, str], *, processes: int, port: int) -> str:
        """A gunicorn on a socket of ours: the port is known before it starts, it never answers too early or elsewhere, and the
        one after it answers there too.
        """
        listener = socket.socket()
        self._listeners.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--workers", str(processes)]
        command += ["--worker-class", "gthread", "--threads", "64", "--keep-alive", "75", "--graceful-timeout", "3"]
        command += ["--log-level", "warning", "--no-control-socket", "--chdir", str(ROOT), application]
        self._spawn(name, command, env, listener.fileno(), farewell=signal.SIGQUIT)  # gunicorn's word for "at once"
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def _spawn(
        self, name: str, command: list[str], env: Mapping[str, str], *fds: int, farewell: signal.Signals = signal.SIGTERM
    ) -> None:
        """A child in a session of its own: Ctrl-C reaches this process alone, which then stops the others in order."""

        def start() -> subprocess.Popen[bytes]:
            with (self._folder / f"{name}.log").open("ab") as log:
                return subprocess.Popen(
                    command, cwd=ROOT, env=dict(env), stdout=log, stderr=subprocess.STDOUT, pass_fds=fds, start_new_session=True
                )

        self._running[name] = _Kept(start, start(), name not in AWS, time.monotonic(), farewell)

    def _watch(self) -> None:
        """Start again what died, until the cloud is closed."""
        while not self._closing.wait(LOOK_SECONDS):
            for kept in self._running.values():
                kept.revive(time.monotonic())

    def _await(self, url: str) -> None:
        patience = stop_after_delay(START_SECONDS)

        @retry(retry=retry_if_exception_type(httpx.HTTPError), stop=patience, wait=wait_fixed(0.05), reraise=True)
        def answers() -> None:
            self.check()
            httpx.get(url, timeout=5.0).raise_for_status()

        answers()
