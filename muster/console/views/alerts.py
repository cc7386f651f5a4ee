"""Metrics that left their bounds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from muster.console import words
from muster.console.intents import Intent
from muster.console.known import MOST_MODELS, MOST_ROWS, Known, Wish, WishKind
from muster.console.views.blocks import Choice, DataTable, Section, Span, View, plain, state, to_model
from muster.wire import admin

KINDS: tuple[WishKind, ...] = ("status", "alerts")


def wishes(known: Known) -> frozenset[Wish]:
    """The alerts of each model, and how it stands: that says when they change."""
    models = [found.model for found in known.models()[:MOST_MODELS]]
    return frozenset({Wish("models"), *(Wish(kind, name) for name in models for kind in KINDS)})


def view(known: Known, now: datetime) -> View:
    """The page: what waits for somebody, what somebody looks after, what is over."""
    models = known.models()[:MOST_MODELS]
    unheard = [found.model for found in models if known.found(Wish("alerts", found.model), list) is None]
    none = f"Nothing was heard of {', '.join(unheard)}." if unheard else "No alert is open."
    none = none if Wish("models") in known.learnt else "Asking which models there are."
    found = [alert for model in models for alert in known.alerts(model.model)]
    found.sort(key=lambda alert: alert.opened_at, reverse=True)
    waiting = [alert for alert in found if alert.state == "open"]
    going_on = [alert for alert in found if alert.state != "cleared"]
    over = [alert for alert in found if alert.state == "cleared"]
    sections = (
        Section("Open", (_listing("Alerts that are not cleared", going_on, now, none),)),
        Section("History", (_listing("The last alerts that were cleared", over[:MOST_ROWS], now, "None was cleared yet."),)),
    )
    choices = (
        Choice(
            f"Acknowledge {alert.metric} of {alert.model}", Intent(kind="acknowledge", model=alert.model, metric=alert.metric)
        )
        for alert in waiting[:20]
    )
    return View(title="Alerts", sections=sections, choices=tuple(choices))


def _listing(caption: str, found: Iterable[admin.AlertReply], now: datetime, empty: str) -> DataTable:
    return DataTable(
        caption=caption,
        columns=("metric", "model", "state", "value", "bounds", "opened", "cleared", "looked after by", "because"),
        rows=tuple(
            (
                Span(f"{alert.metric} ({alert.number})"),
                to_model(alert.model),
                state(alert.state),
                *plain(
                    words.number(alert.value),
                    _bounds(alert),
                    words.time(alert.opened_at),
                    words.time(alert.cleared_at),
                    alert.acknowledged_by or "–",
                    alert.because or "–",
                ),
            )
            for alert in found
        ),
        empty=empty,
        numbers=frozenset({"value"}),
    )


def _bounds(alert: admin.AlertReply) -> str:
    sides = (("at least", alert.minimum), ("at most", alert.maximum))
    return ", ".join(f"{side} {words.number(bound)}" for side, bound in sides if bound is not None) or "–"
