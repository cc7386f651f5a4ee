"""What an intent would do, and doing it.

    a button ──▶ Intent ──▶ foresee: a dry run, in words ──▶ the operator confirms ──▶ perform

What is confirmed is what was shown: `foresee` notes in the intent the revision that was seen, and the server refuses if another
was made since.

* `deed`          what each kind of intent has: both halves
* `alerts`        acknowledge, silence
* `training`      start, stop, abandon a round
* `deployments`   deploy, roll out, roll back, end an experiment
* `keeping`       keep a version, or no longer
* `fleet`         revoke and release clients, bound what all send
"""

from __future__ import annotations

from collections.abc import Mapping

from muster.console.doing import alerts, deployments, fleet, keeping, training
from muster.console.doing.deed import Deed, Foreseen, fit
from muster.console.intents import WITH_REASON, Intent, IntentKind
from muster.operator.client import Operator

DEEDS: Mapping[IntentKind, Deed] = {**alerts.DEEDS, **training.DEEDS, **deployments.DEEDS, **keeping.DEEDS, **fleet.DEEDS}


def foresee(operator: Operator, intent: Intent) -> Foreseen:
    """What it would do; nothing is changed.

    Raises:
        Refused: the server would not do it.
    """
    return DEEDS[intent.kind].foresee(operator, intent)


def perform(operator: Operator, intent: Intent) -> str:
    """Do it, and say what was done. The same again does nothing more.

    Raises:
        Refused: the server would not; of a deployment also when another was made since `foresee`.
        UnfitReason: the reason is too long, or not plain ASCII.
    """
    because = fit(intent.because) if intent.because and intent.kind in WITH_REASON else None
    return DEEDS[intent.kind].perform(operator, intent, because)
