"""What an intent would do, and doing it.

    a button ──▶ Intent ──▶ foresee: a dry run, in words ──▶ the operator confirms ──▶ perform

What is confirmed is what was shown: `foresee` notes the deployment's revision in the intent, and the server refuses if another
was made since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from muster.console.intents import Intent
from muster.operator.client import Operator
from muster.operator.telling import did, moving, present

NOTHING_WAITS = "change nothing: no open alert waits for that"


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
    status = operator.status(intent.model)
    match intent.kind:
        case "acknowledge":
            waiting = [a for a in operator.alerts(intent.model) if a.metric == intent.metric and a.state == "open"]
            said = f"acknowledge alert {waiting[0].number} of {intent.metric}" if waiting else NOTHING_WAITS
            return Foreseen(intent, f"This would {said}.")
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


def perform(operator: Operator, intent: Intent) -> str:
    """Do it, and say what was done. The same again does nothing more.

    Raises:
        Refused: the server would not; of a deployment also when another was made since `foresee`.
    """
    because = intent.because or None
    match intent.kind:
        case "acknowledge":
            alert = operator.acknowledge(intent.model, intent.metric)
            return f"Alert {alert.number} of {alert.metric} is looked after by {alert.acknowledged_by or 'you'}."
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
