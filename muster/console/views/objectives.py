"""How a model's service objectives stand, and what is left of their error budgets."""

from __future__ import annotations

from muster.console import words
from muster.console.views.blocks import Block, DataTable, Sentence, Span, plain
from muster.wire import admin
from muster.wire.spelling import percent_of


def objectives(found: admin.ObjectiveList | None) -> tuple[Block, ...]:
    """The table, and which days are not in it."""
    if found is None:
        return (Sentence("Asking how its objectives stand.", "quiet"),)
    listing = DataTable(
        caption="Service objectives over thirty days, and what is left of what may fail",
        columns=("objective", "good", "of", "share", "at least", "budget left", "used up at this pace"),
        rows=tuple(
            (
                *plain(
                    one.name,
                    words.number(one.good) if one.total else "–",
                    f"{words.number(one.total)} {one.what}" if one.total else "–",
                    "not measured" if one.share is None else percent_of(one.share),
                    percent_of(one.target),
                ),
                _left(one),
                Span(words.time(one.used_up_at)),
            )
            for one in found.objectives
        ),
        empty="It has no objectives.",
        numbers=frozenset({"good", "share", "at least", "budget left"}),
    )
    return (listing, *(Sentence(f"Not in these figures: {row}", "bad") for row in found.unreadable))


def _left(one: admin.ObjectiveReply) -> Span:
    if one.budget_left is None:
        return Span("–")
    return Span("none", tone="bad") if one.is_burned else Span(percent_of(one.budget_left))
