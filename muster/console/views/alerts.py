"""Metrics that left their bounds, and of which of them nobody is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from muster.console import words
from muster.console.intents import Intent
from muster.console.known import MOST_MODELS, MOST_ROWS, Known, Wish
from muster.console.views.blocks import Choice, DataTable, Section, Span, View, plain, state, to_model
from muster.wire import admin
from muster.wire.admin import NO_MODEL

OVERVIEW = Wish("overview")
MOST_CHOICES = 20
"""Alerts, and silences, of which something can be done on this page."""


def wishes(known: Known) -> frozenset[Wish]:
    """The overview, which says of each model what is open; and the lists that say more, each when that has changed."""
    return frozenset({OVERVIEW, *(Wish("alerts", name) for name in _names(known))})


def view(known: Known, now: datetime) -> View:
    """The page: what waits for somebody, what somebody looks after, of what nobody is told, what is over."""
    names = _names(known)
    unheard = [words.named(name) for name in names if known.alerts(name) is None]
    none = f"Nothing was heard of {', '.join(unheard)}." if unheard else "No alert is open."
    none = none if OVERVIEW in known.learnt else "Asking which models there are."
    heard = [told for name in names if (told := known.alerts(name)) is not None]
    found = sorted((alert for told in heard for alert in told.alerts), key=lambda alert: alert.opened_at, reverse=True)
    silences = [silence for told in heard for silence in told.silences]
    going_on = [alert for alert in found if alert.state != "cleared"]
    over = [alert for alert in found if alert.state == "cleared"]
    sections = (
        Section("Open", (_listing("Alerts that are not cleared", going_on, now, none),)),
        Section("Silences", (_silences(silences),)),
        Section("History", (_listing("The last alerts that were cleared", over[:MOST_ROWS], now, "None was cleared yet."),)),
    )
    return View(title="Alerts", sections=sections, choices=tuple(_choices(going_on, silences)))


def _names(known: Known) -> list[str]:
    overview = known.overview()
    return [NO_MODEL, *(one.model for one in overview.models[:MOST_MODELS])] if overview else [NO_MODEL]


def _choices(going_on: Sequence[admin.AlertReply], silences: Sequence[admin.SilenceReply]) -> Iterator[Choice]:
    for alert in [alert for alert in going_on if alert.state == "open"][:MOST_CHOICES]:
        of = f"{alert.metric} of {words.named(alert.model)}"
        yield Choice(f"Acknowledge {of}", Intent(kind="acknowledge", model=alert.model, metric=alert.metric))
    for alert in [alert for alert in going_on if alert.silent_until is None][:MOST_CHOICES]:
        of = f"{alert.metric} of {words.named(alert.model)}"
        yield Choice(f"Silence {of}", Intent(kind="silence", model=alert.model, metric=alert.metric))
    for silence in silences[:MOST_CHOICES]:
        of = f"{silence.metric} of {words.named(silence.model)}"
        yield Choice(f"End the silence of {of}", Intent(kind="unsilence", model=silence.model, metric=silence.metric))


def _of(model: str) -> Span:
    return Span(words.named(model)) if model == NO_MODEL else to_model(model)


def _silences(found: Iterable[admin.SilenceReply]) -> DataTable:
    return DataTable(
        caption="Metrics of whose alerts nobody is told",
        columns=("metric", "model", "until", "said by", "because"),
        rows=tuple(
            (Span(one.metric), _of(one.model), *plain(words.time(one.until), one.by or "–", one.because)) for one in found
        ),
        empty="Nothing is silenced.",
    )


def _listing(caption: str, found: Iterable[admin.AlertReply], now: datetime, empty: str) -> DataTable:
    return DataTable(
        caption=caption,
        columns=(
            "metric", "model", "severity", "state", "value", "bounds", "opened", "cleared", "looked after by", "silent until",
            "because",
        ),
        rows=tuple(
            (
                Span(f"{alert.metric} ({alert.number})"),
                _of(alert.model),
                state(alert.severity),
                state(alert.state),
                *plain(
                    words.number(alert.value),
                    _bounds(alert),
                    words.time(alert.opened_at),
                    words.time(alert.cleared_at),
                    alert.acknowledged_by or "–",
                    words.time(alert.silent_until),
                    alert.because or "–",
                ),
            )
            for alert in found
        ),
        empty=empty,
        numbers=frozenset({"value"}),
    )  # fmt: skip


def _bounds(alert: admin.AlertReply) -> str:
    sides = (("at least", alert.minimum), ("at most", alert.maximum))
    return ", ".join(f"{side} {words.number(bound)}" for side, bound in sides if bound is not None) or "–"
