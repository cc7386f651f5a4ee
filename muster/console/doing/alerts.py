"""Acknowledge an alert; tell nobody of a metric's for some hours, or of them again."""

from __future__ import annotations

from collections.abc import Mapping

from muster.console.doing.deed import Deed, Foreseen, would
from muster.console.intents import Intent, IntentKind
from muster.operator.client import Operator
from muster.operator.telling import silencing

NOTHING_WAITS = "change nothing: no open alert waits for that"


def _foresee_acknowledging(operator: Operator, intent: Intent) -> Foreseen:
    now = operator.alerts_and_silences(intent.model)
    waiting = [alert for alert in now.alerts if alert.metric == intent.metric and alert.state == "open"]
    return would(intent, f"acknowledge alert {waiting[0].number} of {intent.metric}" if waiting else NOTHING_WAITS)


def _acknowledge(operator: Operator, intent: Intent, because: str | None) -> str:
    alert = operator.acknowledge(intent.model, intent.metric)
    return f"Alert {alert.number} of {alert.metric} is looked after by {alert.acknowledged_by or 'you'}."


def _foresee_silence(operator: Operator, intent: Intent) -> Foreseen:
    hours = intent.hours if intent.kind == "silence" else 0.0
    return would(intent, silencing(intent.model, intent.metric, hours, operator.alerts_and_silences(intent.model)))


def _silence(operator: Operator, intent: Intent, because: str | None) -> str:
    silence = operator.silence(intent.model, intent.metric, 3600.0 * intent.hours, because)
    return f"Nobody is told of {silence.metric} before {silence.until:%Y-%m-%d %H:%M} UTC."


def _end_silence(operator: Operator, intent: Intent, because: str | None) -> str:
    operator.silence(intent.model, intent.metric, 0.0)
    return f"Alerts of {intent.metric} are told of again."


DEEDS: Mapping[IntentKind, Deed] = {
    "acknowledge": Deed(_foresee_acknowledging, _acknowledge),
    "silence": Deed(_foresee_silence, _silence),
    "unsilence": Deed(_foresee_silence, _end_silence),
}
