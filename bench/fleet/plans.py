"""What happens on a simulated day."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.fleet.awake import DAY
from chalicelib.clients.rate import RequestRate
from muster.pacing.intervals import PaceRules
from muster.wire.admin import RoundConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPlan:
    """What happens on it. Times are pairs: from, until; seconds since midnight."""

    config: RoundConfig
    clients: int = 1_000_000
    fresh: int = 0
    """Devices that enrol besides."""
    enrolling: tuple[float, float] = (0.0, 0.0)
    outage: tuple[float, float] | None = None
    rash: int = 0
    """Devices, among the clients, that ignore the pace."""
    rules: PaceRules = field(default_factory=PaceRules)
    rate: RequestRate = field(default_factory=lambda: RequestRate(burst=30, seconds=10.0))
    seed: int = 0
    before: float = 3 * 3600.0
    """Seconds that are lived through first."""
    seconds: float = DAY
