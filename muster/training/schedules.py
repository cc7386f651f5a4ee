"""How the learning rate goes within a round: a factor for each step of the optimizer, as a function of `(step, steps)`.

A function has no state, so a training that is resumed goes on where it was, and a round begins anew. `step` counts from 0,
`steps` is how many the whole round has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from muster.wire.spelling import near

Schedule = Callable[[int, int], float]


def constant() -> Schedule:
    """Always 1."""
    return lambda step, steps: 1.0


def linear(end: float = 0.0) -> Schedule:
    """From 1 in a straight line toward `end`, which the step after the last would have."""
    return lambda step, steps: 1.0 + (end - 1.0) * step / steps


def cosine(end: float = 0.0) -> Schedule:
    """From 1 to `end` along half a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, without restarts)."""
    return lambda step, steps: end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def staircase(parts: int = 3, factor: float = 0.1) -> Schedule:
    """`parts` equal parts of the round, each with `factor` times the rate of the one before."""
    return lambda step, steps: float(factor ** (step * parts // steps))


def warmup(share: float = 0.1, then: Schedule | None = None) -> Schedule:
    """Up in a straight line during the first `share` of the steps, then 1; or `then`, over the steps that are left."""

    def factor(step: int, steps: int) -> float:
        rising = max(1, round(share * steps))
        if step < rising:
            return (step + 1) / rising
        return then(step - rising, max(1, steps - rising)) if then else 1.0

    return factor


SCHEDULES: Mapping[str, Callable[[], Schedule]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "steps": staircase,
    "warmup": warmup,
}


def schedule_of(wanted: str | Schedule | None) -> Schedule | None:
    """The schedule of this name, or the one that is given; None keeps the rate as it is.

    Raises:
        ValueError: there is none of this name.
        TypeError: it is neither a name nor a function.
    """
    if wanted is None or wanted == "constant":
        return None
    if isinstance(wanted, str):
        if wanted not in SCHEDULES:
            raise ValueError(f"schedule: there is none called {wanted!r}: {near(wanted, SCHEDULES)}")
        return SCHEDULES[wanted]()
    if not callable(wanted):
        raise TypeError(f"schedule: expected a name or a function of (step, steps), got {type(wanted).__name__}")
    return wanted
