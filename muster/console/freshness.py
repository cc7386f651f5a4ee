"""How old what a page shows is, and what is wrong with asking, in words (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from muster.console import words
from muster.console.known import LOOK_SECONDS, Known, Wish

PATIENCE_SECONDS = 8.0
"""How long a look may take before a page says that it waits."""

SUBJECTS = frozenset({"status", "version", "round", "client", "rollout"})
"""What a page is about: it says itself that there is none. A rollout may end between two questions."""
MOST_DENIED = 3
"""Refusals that are told, of all."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """`age`: when it was last asked; `trouble`: what is wrong, or nothing."""

    age: str
    trouble: str


def freshness(known: Known, now: datetime, wished: frozenset[Wish] = frozenset()) -> Freshness:
    """What a page that wishes to know this says of what it shows."""
    if known.looked_at is None:
        age, old = "Nothing was heard from the server yet.", "Nothing is shown yet."
    else:
        when = f"{words.time(known.looked_at)} UTC, {words.ago(known.looked_at, now)}"
        age = f"As of {when}. Asked every {LOOK_SECONDS:g} seconds while a page is open."
        age += " Some of it is still being asked for." if wished - known.learnt.keys() else ""
        old = f"What is shown is of {when}."
    if known.trouble is not None:
        return Freshness(age, f"{known.trouble} {old}")
    waiting = (now - known.asking_since).total_seconds() if known.asking_since else 0.0
    if waiting > PATIENCE_SECONDS:
        return Freshness(age, f"The server has not answered for {words.duration(round(waiting))}. {old}")
    denied = sorted({said for wish in wished if wish.kind not in SUBJECTS and (said := known.denied(wish))})
    return Freshness(age, " ".join([*denied[:MOST_DENIED], "Of that nothing is shown."]) if denied else "")
