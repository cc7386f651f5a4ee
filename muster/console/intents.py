"""What an operator may do here, as a value, and the command that does the same (pure; `muster.console.doing` does it)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from muster.wire.admin import LONGEST_SILENCE_SECONDS

IntentKind = Literal["acknowledge", "silence", "unsilence", "start", "stop", "rollback", "pause", "resume", "promote", "abort"]

TITLES: dict[IntentKind, str] = {
    "acknowledge": "Acknowledge an alert",
    "silence": "Silence an alert",
    "unsilence": "End a silence",
    "start": "Start training",
    "stop": "Stop training",
    "rollback": "Roll back",
    "pause": "Pause the rollout",
    "resume": "Resume the rollout",
    "promote": "Promote the candidate",
    "abort": "Abort the rollout",
}

WITH_REASON = frozenset[IntentKind]({"silence", "rollback", "pause", "resume", "promote", "abort"})
"""Of which is kept why."""

MOST_ROUNDS = 10_000
MOST_HOURS = LONGEST_SILENCE_SECONDS / 3600.0
LEAST_HOURS = 0.25
LONGEST_REASON = 64
"""Characters, of plain ASCII (`muster.wire.messages.Label`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something to be done to a model, or, where alerts are concerned, to the stack (`-`)."""

    kind: IntentKind
    model: str
    metric: str = ""
    """Whose alert is acknowledged, or whose alerts are silenced."""
    hours: float = 8.0
    """For how long a metric is silenced."""
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
        case "silence":
            words = ["alerts", "silence", model, intent.metric, "--hours", f"{intent.hours:g}"]
        case "unsilence":
            words = ["alerts", "silence", model, intent.metric, "--hours", "0"]
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
