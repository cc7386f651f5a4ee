"""What an operator may do here, as a value, and the command that does the same (pure; `muster.console.doing` does it)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

IntentKind = Literal["acknowledge", "start", "stop", "rollback", "pause", "resume", "promote", "abort"]

TITLES: dict[IntentKind, str] = {
    "acknowledge": "Acknowledge an alert",
    "start": "Start training",
    "stop": "Stop training",
    "rollback": "Roll back",
    "pause": "Pause the rollout",
    "resume": "Resume the rollout",
    "promote": "Promote the candidate",
    "abort": "Abort the rollout",
}

WITH_REASON = frozenset[IntentKind]({"rollback", "pause", "resume", "promote", "abort"})
"""Of which the history keeps why."""

MOST_ROUNDS = 10_000
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something to be done to a model."""

    kind: IntentKind
    model: str
    metric: str = ""
    """Whose alert is acknowledged."""
    rounds: int = 1
    """How many more shall complete."""
    wanted: int = 0
    """How many that makes in the model's whole life; `foresee` says it."""
    revision: int = 0
    """The deployment revision that the operator saw; `foresee` says it."""
    because: str = ""


def command(intent: Intent) -> str:
    """The same as a command of `muster`."""
    model = intent.model
    match intent.kind:
        case "acknowledge":
            words = ["alerts", "ack", model, intent.metric]
        case "start":
            words = ["round", "start", model, "--rounds", str(intent.rounds)]
        case "stop":
            words = ["round", "stop", model]
        case "rollback":
            words = ["rollback", model]
        case move:
            words = ["rollout", move, model]
    if intent.revision:
        words += ["--revision", str(intent.revision)]
    if intent.because and intent.kind in WITH_REASON:
        words += ["--because", intent.because]
    return shlex.join(["muster", *words])
