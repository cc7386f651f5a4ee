"""What an intent would do, and doing it.

    a button ──▶ Intent ──▶ foresee: a dry run, in words ──▶ the operator confirms ──▶ perform

What is confirmed is what was shown: `foresee` notes the deployment's revision in the intent, and the server refuses if another
was made since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from muster.console.intents import LONGEST_REASON, WITH_REASON, Intent
from muster.http.errors import MusterError
from muster.operator.client import Operator
from muster.operator.telling import did, moving, present, silencing
from muster.wire import admin

NOTHING_WAITS = "change nothing: no open alert waits for that"


class UnfitReason(MusterError):
    """A reason is not one that the server takes; nothing was asked of it."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be done, and that in a sentence."""

    intent: Intent
    sentence: str


def foresee(operator: Operator, intent: Intent) -> Foreseen:
    """What it would do; nothing is changed.

    Raises:
        Refused: the server would not do it.
    """
    kind = intent.kind
    if kind == "acknowledge" or kind == "silence" or kind == "unsilence":
        return Foreseen(intent, f"This would {_of_alerts(operator.alerts_and_silences(intent.model), intent)}.")
    status = operator.status(intent.model)
    match kind:
        case "start":
            wanted = status.training.rounds_completed + intent.rounds
            said = f"train {intent.model} until {wanted} rounds have completed, {intent.rounds} more than now"
            return Foreseen(replace(intent, wanted=wanted), f"This would {said}.")
        case "stop":
            rnd = status.round
            going = f"; round {rnd.number} ({rnd.phase}) would go on to its end" if rnd and not rnd.finished_at else ""
            return Foreseen(intent, f"This would stop training {intent.model}{going}.")
        case "rollback":
            then = operator.rollback(intent.model, revision=status.deployment_revision, dry_run=True)
        case move:
            then = operator.move_rollout(intent.model, move, revision=status.deployment_revision, dry_run=True)
    known = replace(intent, revision=status.deployment_revision)
    if then.revision == status.deployment_revision:
        return Foreseen(known, f"This would change nothing: {present(then)} already.")
    changes = moving(status, then)
    return Foreseen(known, f"This would {did(then, would=True)}{f'; {changes}' if changes else ''}.")


def _fit(because: str) -> str:
    if len(because) > LONGEST_REASON or not (because.isascii() and because.isprintable()):
        raise UnfitReason(f"Expected a reason of at most {LONGEST_REASON} characters of plain ASCII")
    return because


def _of_alerts(now: admin.AlertList, intent: Intent) -> str:
    if intent.kind == "acknowledge":
        waiting = [alert for alert in now.alerts if alert.metric == intent.metric and alert.state == "open"]
        return f"acknowledge alert {waiting[0].number} of {intent.metric}" if waiting else NOTHING_WAITS
    return silencing(intent.model, intent.metric, intent.hours if intent.kind == "silence" else 0.0, now)


def perform(operator: Operator, intent: Intent) -> str:
    """Do it, and say what was done. The same again does nothing more.

    Raises:
        Refused: the server would not; of a deployment also when another was made since `foresee`.
        UnfitReason: the reason is too long, or not plain ASCII.
    """
    because = _fit(intent.because) if intent.because and intent.kind in WITH_REASON else None
    match intent.kind:
        case "acknowledge":
            alert = operator.acknowledge(intent.model, intent.metric)
            return f"Alert {alert.number} of {alert.metric} is looked after by {alert.acknowledged_by or 'you'}."
        case "silence":
            silence = operator.silence(intent.model, intent.metric, 3600.0 * intent.hours, because)
            return f"Nobody is told of {silence.metric} before {silence.until:%Y-%m-%d %H:%M} UTC."
        case "unsilence":
            operator.silence(intent.model, intent.metric, 0.0)
            return f"Alerts of {intent.metric} are told of again."
        case "start":
            status = operator.start(intent.model, intent.wanted)
            return f"{intent.model} trains until {status.training.rounds_wanted} rounds have completed."
        case "stop":
            operator.stop(intent.model)
            return f"No further round of {intent.model} opens."
        case "rollback":
            made = operator.rollback(intent.model, revision=intent.revision, because=because)
        case move:
            made = operator.move_rollout(intent.model, move, revision=intent.revision, because=because)
    done = did(made)
    return f"{done[0].upper()}{done[1:]} (revision {made.revision})."
