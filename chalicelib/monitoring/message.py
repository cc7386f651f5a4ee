"""What is sent when an alert opens: for people a text, for machines a JSON document (pure)."""

from __future__ import annotations

from chalicelib.instants import text
from chalicelib.monitoring.alert import Alert
from chalicelib.monitoring.threshold import DEAD_LETTERS
from chalicelib.storage.topics import Notice
from muster.wire.admin import NO_MODEL

RECIPES = "docs/operations.md"
WITH_RECIPE = frozenset({
    "accuracy", "loss", "gain", "active_clients", "active_share", "burned_budgets", DEAD_LETTERS, "judges_missing", "lost_bits",
    "over_budget", "rollout_trouble", "round_seconds", "unfilled_rounds", "unreadable_rows", "upload_success",
})  # fmt: skip
"""Metrics that are watched by default: each has its place there, under its own name."""


def message_of(alert: Alert, waits_for: str | None) -> Notice:
    """The message of an alert; `waits_for` is the sentence of what its model waits for, if that is known."""
    ack, recipe = f"muster alerts ack {alert.model} {alert.metric}", f"{RECIPES}#{_place(alert.metric)}"
    look = "muster status" if alert.model == NO_MODEL else f"muster why {alert.model}"
    lines = [
        f"{alert.sentence} ({alert.severity}, alert {alert.number}, since {alert.opened_at:%Y-%m-%d %H:%M} UTC).",
        *([f"What {alert.model} waits for: {waits_for}."] if waits_for else []),
        "",
        f"Look: {look}",
        f"Tell the others that you are at it: {ack}",
        f"What helps: {recipe}",
    ]
    return Notice(
        subject=f"Muster {alert.severity}: {alert.sentence}",
        people="\n".join(lines) + "\n",
        machines={
            "alert": alert.sentence,
            "severity": alert.severity.value,
            "model": alert.model,
            "metric": alert.metric,
            "number": alert.number,
            "value": alert.value,
            "minimum": alert.minimum,
            "maximum": alert.maximum,
            "opened_at": text(alert.opened_at),
            "why": waits_for,
            "next": f"{look}; {ack}",
            "recipe": recipe,
        },
    )


def _place(metric: str) -> str:
    return metric if metric in WITH_RECIPE else "alerts"


def for_test(by: str | None) -> Notice:
    """The one that says that messages arrive."""
    who = by or "somebody"
    return Notice(
        subject="Muster test: alerts arrive here",
        people=f"This is a test, sent by {who}. Nothing is wrong. Alerts of Muster will come here, too.\n",
        machines={"alert": "this is a test; nothing is wrong", "severity": "info", "test": True, "by": by},
    )
