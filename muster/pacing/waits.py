"""When one device comes again (pure). `draw` is a number from 0 (included) to 1 (excluded), `now` the seconds since the epoch.

A fleet that meets comes at the instants of a grid, multiples of its interval since the epoch: whoever is told so at about the
same time comes at the same time, and so does whoever comes with them from then on. All others are spread: between half an
interval and one and a half ("full jitter"), so that what has come together by accident is apart again after one interval.
"""

from __future__ import annotations

import math
from typing import Literal

from muster.pacing.intervals import LONGEST_WAIT_SECONDS, Intervals

WaitReason = Literal[
    "no-training", "not-eligible", "not-drawn", "resting", "not-ready", "between-rounds", "round-full", "round-closed",
    "already-done",
]  # fmt: skip
"""Why a device has nothing to do (docs/protocol.md, section 4)."""


def spread(interval: float, draw: float) -> float:
    """An interval for one device: on average as long, and nobody's next."""
    return min(interval * (0.5 + draw), LONGEST_WAIT_SECONDS)


def wait(
    reason: WaitReason, paces: Intervals, *, now: float, draw: float, turn_seconds: float = 0.0, opens_seconds: float = 0.0
) -> float:
    """How long a device stays away that has nothing to do for this reason.

    `turn_seconds`: until its lot is drawn. `opens_seconds`: until the next round opens at the earliest, if there is nothing
    for the device before; 0 when that is not known, or there may be.

    | reason | the device comes |
    |---|---|
    | no-training, not-eligible | at its next heartbeat: that is how it hears of work |
    | not-drawn | as the next; where few wait, at its turn, if that is sooner. Of many, thousands may have their turn in one second |
    | resting, not-ready, between-rounds, round-full, round-closed, already-done | at the pace of those who wait; or when the next round opens, if that is later |
    """  # noqa: E501
    if reason in ("no-training", "not-eligible"):
        return spread(paces.heartbeat_seconds, draw)
    again = _again(paces, now, draw)
    if reason == "not-drawn":
        return min(again, max(turn_seconds, 0.0)) if paces.takes_turns else again
    if opens_seconds > again:
        within = paces.waiting_seconds if paces.meeting_seconds is None else paces.meeting_seconds
        return min(opens_seconds + draw * within, LONGEST_WAIT_SECONDS)
    return again


def _again(paces: Intervals, now: float, draw: float) -> float:
    interval, within = paces.waiting_seconds, paces.meeting_seconds
    if within is None:
        return spread(interval, draw)
    # At least half an interval away: so everybody who came to the last meeting, early or late, comes to the same next one.
    meeting = math.ceil((now + 0.5 * interval) / interval) * interval
    return min(meeting - now + draw * within, LONGEST_WAIT_SECONDS)
