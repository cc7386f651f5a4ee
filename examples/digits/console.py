"""The console beside the demo: how to open it, and `--console`, a process of its own for as long as the cloud is there."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from examples.digits.place import DemoPlace
from examples.digits.tour import MUSTER
from muster.cli.console import NoConsole

CHECK_SECONDS = 1.0
STOP_SECONDS = 10.0
"""After that it is ended without being asked."""


def command(cloud: DemoPlace) -> str:
    """What opens the console on this cloud, as typed where the demo was started; who has a deployed one has `muster` too."""
    here = Path.cwd()
    muster = MUSTER.relative_to(here) if MUSTER.is_relative_to(here) else MUSTER
    return f"{muster if cloud.is_own else 'muster'} --url {cloud.url} console"


def check_installed() -> None:
    """Look whether the console can be drawn here.

    Raises:
        NoConsole: what it is drawn with is not installed.
    """
    if importlib.util.find_spec("nicegui") is None:
        raise NoConsole("--console needs nicegui: pip install 'muster-fl[console]'")


@dataclass(frozen=True, slots=True)
class Beside:
    """A console that runs."""

    cloud: DemoPlace
    process: subprocess.Popen[str]

    def stay(self, tell: Callable[[str], None]) -> None:
        """Let both run until Ctrl-C. `tell` is given what stays, when that may come.

        Raises:
            RuntimeError: one of them has ended by itself.
        """
        with suppress(KeyboardInterrupt):
            tell("the cloud stays" if self.cloud.is_own else "the console stays")
            while True:
                self.cloud.check()
                if self.process.poll() is not None:
                    raise RuntimeError(f"the console ended with status {self.process.returncode}")
                time.sleep(CHECK_SECONDS)


@contextmanager
def beside(cloud: DemoPlace, tell: Callable[[str], None]) -> Iterator[Beside]:
    """The console on this cloud, until the context is left. `tell` is given each line that it prints: the first has its link.

    It is in a session of its own: Ctrl-C reaches the demo alone, which then ends both in order. It shares the demo's stderr.

    Raises:
        RuntimeError: it ended before it had a link.
    """
    started = [sys.executable, "-m", "muster", "--url", cloud.url, "console"]
    with subprocess.Popen(
        started, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            if not (link := process.stdout.readline()):
                raise RuntimeError(f"the console ended with status {process.wait(STOP_SECONDS)} before it had a link")
            tell(link.rstrip())
            threading.Thread(target=_pass_on, args=(process.stdout, tell), name="console", daemon=True).start()
            yield Beside(cloud, process)
        finally:
            _end(process)


def _pass_on(lines: Iterable[str], tell: Callable[[str], None]) -> None:
    """Also what a browser says that the console has started: a pipe that nobody reads would be full some day."""
    for line in lines:
        tell(line.rstrip())


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to end, and see that it does."""
    process.send_signal(signal.SIGINT)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:
        process.kill()
