"""What each kind of intent has: what it would do, in words, and doing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from muster.console.intents import LONGEST_REASON, Intent
from muster.http.errors import MusterError
from muster.operator.client import Operator


class UnfitReason(MusterError):
    """A reason is not one that the server takes; nothing was asked of it."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be done, and that in a sentence."""

    intent: Intent
    sentence: str


@dataclass(frozen=True, slots=True)
class Deed:
    """Both halves: of the second one it is also told why, if the operator said so."""

    foresee: Callable[[Operator, Intent], Foreseen]
    perform: Callable[[Operator, Intent, str | None], str]


def would(intent: Intent, what: str) -> Foreseen:
    """Such a thing would be done."""
    return Foreseen(intent, f"This would {what}.")


def fit(because: str) -> str:
    """The reason, if the server would take it.

    Raises:
        UnfitReason: it would not.
    """
    if len(because) > LONGEST_REASON or not (because.isascii() and because.isprintable()):
        raise UnfitReason(f"Expected a reason of at most {LONGEST_REASON} characters of plain ASCII")
    return because
