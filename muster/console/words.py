"""Numbers and times for a person."""

from __future__ import annotations

from datetime import UTC, datetime

from muster.wire.admin import NO_MODEL
from muster.wire.deciding import DecidingMetric


def number(value: float | None) -> str:
    """A number in as many digits as one reads; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share that is given in per cent."""
    return f"{share:.3g} %"


def size(nbytes: float) -> str:
    """Bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.4g} TB"


def duration(seconds: float) -> str:
    """So many seconds."""
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def time(at: datetime | None) -> str:
    """An instant, in UTC; a dash for none."""
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(at: datetime, now: datetime) -> str:
    """How long ago something was."""
    seconds = max(0.0, (now - at).total_seconds())
    return "just now" if seconds < 3 else f"{duration(round(seconds))} ago"


def gain(value: float | None, metric: DecidingMetric | None) -> str:
    """A gain: of accuracy in percentage points, of another metric in its own units, with its name."""
    if value is None:
        return "–"
    if metric is None or metric.name == "accuracy":
        return f"{100 * value:+.1f} points"
    return f"{value:+.4g} in {metric.name}"


def named(model: str) -> str:
    """A model's name, or what is called `-`."""
    return "the stack" if model == NO_MODEL else model


def many(count: int, one: str, several: str | None = None) -> str:
    """A count with its noun."""
    return f"{number(count)} {one if count == 1 else several or one + 's'}"
