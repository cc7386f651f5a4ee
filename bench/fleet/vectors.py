"""The rules by which a device comes again, for many devices at once. Each is a rule of the server or of the SDK over arrays; a
test holds it to that rule, value by value.

Draws are numbers from 0 (included) to 1 (excluded), one a device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chalicelib.clients.rate import RequestRate
from chalicelib.rounds.devices.lots import lot
from muster.device.pace import JITTER, MOST_SECONDS, RETURN_SECONDS
from muster.pacing.intervals import LONGEST_WAIT_SECONDS, Intervals
from muster.pacing.waits import WaitReason

Numbers = NDArray[np.float64]
Devices = NDArray[np.int64]
"""Devices by their numbers."""
Flags = NDArray[np.bool_]


def spreads(interval: float | Numbers, draws: Numbers) -> Numbers:
    """`muster.pacing.waits.spread`, and `muster.device.pace.spread`, which is the same."""
    return np.minimum(interval * (0.5 + draws), min(LONGEST_WAIT_SECONDS, MOST_SECONDS))


def waits(
    reason: WaitReason,
    paces: Intervals,
    *,
    now: float,
    draws: Numbers,
    turns: Numbers | float = 0.0,
    opens_seconds: float = 0.0,
) -> Numbers:
    """`muster.pacing.waits.wait`; `turns` are the seconds until the lots are drawn."""
    if reason in ("no-training", "not-eligible"):
        return spreads(paces.heartbeat_seconds, draws)
    interval, within = paces.waiting_seconds, paces.meeting_seconds
    if within is None:
        again = spreads(interval, draws)
    else:
        meeting = np.ceil((now + 0.5 * interval) / interval) * interval
        again = np.minimum(meeting - now + draws * within, LONGEST_WAIT_SECONDS)
    if reason == "not-drawn":
        return np.minimum(again, np.maximum(turns, 0.0)) if paces.takes_turns else again
    later = np.minimum(opens_seconds + draws * (interval if within is None else within), LONGEST_WAIT_SECONDS)
    return np.where(opens_seconds > again, later, again)


def stretches(seconds: float | Numbers, draws: Numbers) -> Numbers:
    """`muster.device.pace.stretched`."""
    return seconds * (1.0 + JITTER * draws)


def returns(seconds: Numbers, heartbeat_seconds: Numbers, draws: Numbers) -> Numbers:
    """`muster.device.pace.returning`."""
    return spreads(np.maximum(seconds, np.minimum(RETURN_SECONDS, heartbeat_seconds)), draws)


def back_offs(first: float, longest: float, failures: NDArray[np.int64], draws: Numbers) -> Numbers:
    """`muster.device.pace.BackOff.seconds` after so many failures."""
    most = np.maximum(first, np.minimum(longest, first * 2.0 ** np.minimum(failures, 32)))
    return first + draws * (most - first)


def admitted(rate: RequestRate, arrivals: Numbers, now: float) -> tuple[Flags, Numbers]:
    """`RequestRate.taken`: who is in order, and the arrival times after that. Without a first request an arrival time is 0."""
    whole = rate.burst * rate.seconds
    early = np.round(arrivals - now - (whole - rate.seconds), 6)
    jumped, too_soon = early > whole, (early > 0.0) & (early <= whole)
    after = np.where(jumped, now + whole, np.maximum(arrivals, now) + rate.seconds)
    return ~too_soon, np.where(too_soon, arrivals, np.round(after, 6))


def lots(drawn_from: str, names: Sequence[str]) -> Numbers:
    """The lots of these clients."""
    return np.array([lot(drawn_from, name) for name in names], np.float64)


def drawn_after(found: Numbers, first: float, hold: float, everybody: float) -> Numbers:
    """`lots.drawn_after`."""
    with np.errstate(divide="ignore"):
        grown = 1.0 - np.log(found) / np.log(first)
    return np.where(found < first, 0.0, hold + (everybody - hold) * grown)
