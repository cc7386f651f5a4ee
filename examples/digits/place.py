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


EVERY_SECOND = Pace(report=20.0, grace=5.0, evaluate=15.0, patience=90.0)
"""In a local cloud whose tick comes every second."""

EVERY_MINUTE = Pace(report=300.0, grace=60.0, evaluate=300.0, patience=1200.0)
"""In AWS, where a schedule comes once a minute, and a function's first start takes a while."""


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
