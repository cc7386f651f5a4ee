"""Where the demo runs: in a local cloud of its own, or in one that is deployed, and how fast things go there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.local import LocalCloud


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long the parts of a round may take, in seconds."""

    report: float
    grace: float
    evaluate: float
    patience: float
    """No round takes longer, whatever happens to it; more than its deadlines together."""
    at_once: int
    """So many requests of all devices together are under way at the most; the others wait for their turn."""
    wait: float
    """The longest that a device waits, though it may be told to come later: somebody is looking on."""
    again: float
    """How soon a device that got no answer tries again, and one that has disappeared looks whether the round is over."""


EVERY_SECOND = Pace(report=20.0, grace=5.0, evaluate=15.0, patience=90.0, at_once=1000, wait=5.0, again=1.0)
"""In a local cloud whose tick comes every second."""

EVERY_MINUTE = Pace(report=300.0, grace=60.0, evaluate=300.0, patience=1200.0, at_once=4, wait=10.0, again=10.0)
"""In AWS, where a schedule comes once a minute, and a function's first start takes a while.

Of requests that come at once, each has a function's environment to itself. A new account's quota may be ten of them, and an
emulator starts each as a process of this machine: thirty at once are none within a request's time. And no device comes oftener
than its bucket allows in the long run: once in ten seconds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlace:
    """A cloud that answers."""

    url: str
    is_own: bool
    """Whether nobody else has it, and it ends with the demo."""
    pace: Pace
    check: Callable[[], None]
    """Raises when a process of the cloud has ended, as far as that can be seen from here."""


@contextmanager
def place(url: str | None) -> Iterator[DemoPlace]:
    """The cloud at `url`, or, without one, a local cloud for as long as the context lasts."""
    if url:
        yield DemoPlace(url=url, is_own=False, pace=EVERY_MINUTE, check=lambda: None)
        return
    with LocalCloud(api_processes=2, tick_seconds=1.0) as cloud:
        yield DemoPlace(url=cloud.url, is_own=True, pace=EVERY_SECOND, check=cloud.check)
