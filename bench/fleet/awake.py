"""Which devices are awake: each for one stretch of the day, of its own length, around the middle of the afternoon.

A quarter of them never sleep; the others are awake while the share is above a number of their own. So the share swings by four
between night and day, and nobody wakes together with many others.

    share awake   1 ┤        ╭──╮
                    │      ╭─╯  ╰─╮
                  1/4 ┼────╯        ╰────
                    └────────┬────────
                            15 h
"""

from __future__ import annotations

import numpy as np

from bench.fleet.vectors import Devices, Numbers

DAY = 86_400.0
MIDDLE = 15 * 3600.0
LEAST, MOST = 0.25, 1.0


class Nights:
    """When each device sleeps. Seconds count from a midnight."""

    def __init__(self, devices: int, dice: np.random.Generator) -> None:
        own = dice.random(devices)
        middle, swing = (MOST + LEAST) / 2, (MOST - LEAST) / 2
        angle = np.arccos(np.clip((own - middle) / swing, -1.0, 1.0))
        self._awake = np.where(own < LEAST, DAY, 2 * angle * DAY / (2 * np.pi))
        self._begins = (MIDDLE - self._awake / 2) % DAY

    def awake_from(self, devices: Devices, at: Numbers) -> Numbers:
        """When these devices, which mean to come then, are awake: at once, or when they wake."""
        since = (at - self._begins[devices]) % DAY
        return np.where(since < self._awake[devices], at, at + DAY - since)

    def share(self, at: float) -> float:
        """Which share is awake."""
        return float(np.mean((at - self._begins) % DAY < self._awake))
