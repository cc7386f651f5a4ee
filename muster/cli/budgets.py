"""Service objectives as tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from muster.cli import render
from muster.wire import admin
from muster.wire.spelling import percent_of


def page(found: admin.ObjectiveList) -> RenderableType:
    """All that is known of a model's objectives."""
    rows = [(one.name, _failed(one), *_figures(one), one.used_up_at) for one in found.objectives]
    columns = ["objective", "failed in 30 days", "share", "at least", "budget left", "used up at this pace"]
    return Group(render.table(columns, rows, ""), *_unreadable(found))


def section(found: admin.ObjectiveList) -> RenderableType:
    """The same in short, for a model's status: what was measured."""
    rows = [(one.name, *_figures(one)) for one in found.objectives if one.total]
    listing = render.table(["objective", "30 days", "at least", "budget left"], rows, "no objective was measured yet")
    return Group(listing, *_unreadable(found))


def _failed(one: admin.ObjectiveReply) -> str | None:
    return f"{one.total - one.good:,} of {one.total:,} {one.what}" if one.total else None


def _figures(one: admin.ObjectiveReply) -> tuple[object, str, object]:
    share = "not measured" if one.share is None else percent_of(one.share)
    left: object = None if one.budget_left is None else percent_of(one.budget_left)
    return share, percent_of(one.target), Text("none", style="bold red") if one.is_burned else left


def _unreadable(found: admin.ObjectiveList) -> list[Text]:
    return [Text(f"not in these figures: {row}", style="bold red") for row in found.unreadable]
