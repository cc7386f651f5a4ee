"""What one client said of the version that it runs, once in a rollout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.clients.splits import is_among
from chalicelib.instants import Instant
from chalicelib.registry.rollout import ALL, Rollout
from chalicelib.rollouts.assigning import salt

KEEP = timedelta(days=30)
"""How long a report is kept beyond the time that a rollout takes by itself."""

ON_THE_WAY = timedelta(seconds=10)
"""How long after its time a report may yet be written."""

BROKEN_LEVEL = 0.001
"""How probable it may be that a split is called broken that is not."""

MOST_REPORTS = 6_000
"""Clients of a fleet of any size that are asked, of either version together, in one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutReport:
    """One row a client and rollout: the first thing that it said counts, and nothing after it."""

    client_id: str
    version: int
    at: Instant
    is_candidate: bool
    """Whether it is the candidate that it runs."""
    ttl: int
    value: float | None = None
    """Of the guard's metric; None where nothing finite could be measured, which is the worst there is."""
    withdrawn: bool = False
    """Its client was revoked: it counts for nothing, and nothing that was on its way can take its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One row a client and rollout: whether it has the candidate on its disk, verified."""

    client_id: str
    at: Instant
    is_ready: bool
    ttl: int
    withdrawn: bool = False
    """As of a report."""


def kept_until(rollout: Rollout, now: datetime) -> int:
    """When what a client says now is deleted, in seconds of Unix time: not before all steps have had their time and their
    patience. The guard counts it until the end, and a client whose row is gone would count twice.
    """
    strategy = rollout.strategy
    a_step = strategy.pause_seconds + strategy.patience * strategy.window_seconds
    return math.ceil(now.timestamp() + KEEP.total_seconds() + (len(strategy.steps) or 1) * a_step)


def is_asked(model: str, rollout: Rollout, client_id: str, concerned: int, active: int) -> bool:
    """Whether a client reports in a rollout that concerns so many places, of a fleet with so many active clients: all do in a
    small fleet, and of a large one `MOST_REPORTS`, drawn by a hash that has nothing to do with who is given what.
    """
    expected = active * concerned // ALL
    share = ALL if expected <= MOST_REPORTS else ALL * MOST_REPORTS // expected
    return is_among(f"{salt(model, rollout)}/reports", client_id, share)
