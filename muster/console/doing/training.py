"""Start and stop training, and end a round before its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from muster.console.doing.deed import Deed, Foreseen, would
from muster.console.intents import Intent, IntentKind
from muster.operator.client import Operator
from muster.operator.telling import abandoning, starting, stopping


def _foresee_start(operator: Operator, intent: Intent) -> Foreseen:
    status = operator.status(intent.model)
    wanted = status.training.rounds_completed + intent.rounds
    return would(replace(intent, wanted=wanted), starting(intent.model, wanted, intent.rounds))


def _start(operator: Operator, intent: Intent, because: str | None) -> str:
    status = operator.start(intent.model, intent.wanted)
    return f"{intent.model} trains until {status.training.rounds_wanted} rounds have completed."


def _foresee_stop(operator: Operator, intent: Intent) -> Foreseen:
    return would(intent, stopping(operator.status(intent.model)))


def _stop(operator: Operator, intent: Intent, because: str | None) -> str:
    operator.stop(intent.model)
    return f"No further round of {intent.model} opens."


def _foresee_abandoning(operator: Operator, intent: Intent) -> Foreseen:
    return would(intent, abandoning(operator.round(intent.model, intent.round)))


def _abandon(operator: Operator, intent: Intent, because: str | None) -> str:
    ended = operator.abandon(intent.model, intent.round, *([because] if because else []))
    return f"Round {ended.round} is {ended.phase}: {ended.reason}."


DEEDS: Mapping[IntentKind, Deed] = {
    "start": Deed(_foresee_start, _start),
    "stop": Deed(_foresee_stop, _stop),
    "abandon-round": Deed(_foresee_abandoning, _abandon),
}
