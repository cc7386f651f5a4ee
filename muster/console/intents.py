"""What an operator may do here, as a value, and the command that does the same (pure; `muster.console.doing` does it)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from muster.console.words import named
from muster.wire.admin import LONGEST_SILENCE_SECONDS, MOST_REQUESTS_A_MONTH, MOST_REQUESTS_A_SECOND, Strategy

IntentKind = Literal[
    "acknowledge", "silence", "unsilence", "start", "stop", "abandon-round", "deploy", "begin-rollout", "rollback", "pause",
    "resume", "promote", "abort", "end-experiment", "keep-version", "release-version", "revoke-client", "release-client",
    "set-pace",
]  # fmt: skip

TITLES: dict[IntentKind, str] = {
    "acknowledge": "Acknowledge an alert",
    "silence": "Silence an alert",
    "unsilence": "End a silence",
    "start": "Start training",
    "stop": "Stop training",
    "abandon-round": "Abandon the round",
    "deploy": "Deploy the version",
    "begin-rollout": "Begin a rollout",
    "rollback": "Roll back",
    "pause": "Pause the rollout",
    "resume": "Resume the rollout",
    "promote": "Promote the candidate",
    "abort": "Abort the rollout",
    "end-experiment": "End the experiment",
    "keep-version": "Keep the version",
    "release-version": "Keep the version no longer",
    "revoke-client": "Revoke the key",
    "release-client": "Release from quarantine",
    "set-pace": "Bound what the fleet sends",
}

WITH_REASON = frozenset[IntentKind]({
    "silence", "abandon-round", "deploy", "begin-rollout", "rollback", "pause", "resume", "promote", "abort", "end-experiment",
    "set-pace",
})  # fmt: skip
"""Of which is kept why."""

LONGEST_REASON = 64
"""Characters, of plain ASCII (`muster.wire.messages.Label`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something to be done to a model, a client or the fleet, or, where alerts are concerned, to the stack (`-`)."""

    kind: IntentKind
    model: str = ""
    metric: str = ""
    """Whose alert is acknowledged, or whose alerts are silenced."""
    hours: float = 8.0
    """For how long a metric is silenced."""
    rounds: int = 1
    """How many more shall complete."""
    wanted: int = 0
    """How many that makes in the model's whole life; `foresee` says it."""
    round: int = 0
    """Which one is abandoned."""
    version: int = 0
    """Which one is deployed, kept or released."""
    experiment: str = ""
    client: str = ""
    ceiling: float = 0.0
    """Requests a second, of all devices."""
    budget: int = 0
    """Requests a month, of all devices; 0 for no bound."""
    strategy: Strategy | None = None
    """How a version comes to the clients; `foresee` says it."""
    revision: int = 0
    """The revision that the operator saw, of the deployments, or of the fleet's bounds; `foresee` says it."""
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberField:
    """A number that the operator fills in: a member of the intent, within bounds."""

    member: str
    label: str
    least: float
    most: float
    is_whole: bool = False

    def within(self, value: float | None) -> float | int:
        """What was filled in, brought within the bounds; of nothing, or no number, the least."""
        bounded = self.least if value is None or value != value else min(self.most, max(self.least, value))
        return int(bounded) if self.is_whole else bounded


NUMBERS: Mapping[IntentKind, tuple[NumberField, ...]] = {
    "start": (NumberField(member="rounds", label="How many more rounds", least=1, most=10_000, is_whole=True),),
    "silence": (NumberField(member="hours", label="For how many hours", least=0.25, most=LONGEST_SILENCE_SECONDS / 3600.0),),
    "set-pace": (
        NumberField(member="ceiling", label="Requests a second, at most", least=0.01, most=MOST_REQUESTS_A_SECOND),
        NumberField(
            member="budget",
            label="Requests a month, at most (0: no bound)",
            least=0,
            most=MOST_REQUESTS_A_MONTH,
            is_whole=True,
        ),
    ),
}
"""What is filled in before something is done."""


def filled_in(intent: Intent, numbers: Mapping[str, float | None], because: str) -> Intent:
    """The intent as the operator has filled it in."""
    found: dict[str, Any] = {asked.member: asked.within(numbers.get(asked.member)) for asked in NUMBERS.get(intent.kind, ())}
    if intent.kind in WITH_REASON:
        found["because"] = " ".join(because.split())[:LONGEST_REASON]
    return replace(intent, **found)


def about(intent: Intent) -> str:
    """To what it is done."""
    match intent.kind:
        case "abandon-round":
            return f"round {intent.round} of {intent.model}"
        case "deploy" | "begin-rollout" | "keep-version" | "release-version":
            return f"version {intent.version} of {intent.model}"
        case "end-experiment":
            return f"{intent.experiment} of {intent.model}"
        case "revoke-client" | "release-client":
            return intent.client
        case "set-pace":
            return "all devices"
        case _:
            return named(intent.model)


def command(intent: Intent) -> str:
    """The same as a command of `muster`."""
    words = _words(intent)
    if intent.revision:
        words += ["--revision", str(intent.revision)]
    if intent.because and intent.kind in WITH_REASON:
        words += ["--because", intent.because]
    return shlex.join(["muster", *words])


def _words(intent: Intent) -> list[str]:
    model = intent.model
    match intent.kind:
        case "acknowledge":
            return ["alerts", "ack", model, intent.metric]
        case "silence":
            return ["alerts", "silence", model, intent.metric, "--hours", f"{intent.hours:g}"]
        case "unsilence":
            return ["alerts", "silence", model, intent.metric, "--hours", "0"]
        case "start":
            return ["round", "start", model, "--rounds", str(intent.rounds)]
        case "stop":
            return ["round", "stop", model]
        case "abandon-round":
            return ["round", "abandon", model, str(intent.round)]
        case "deploy":
            return ["deploy", model, str(intent.version)]
        case "begin-rollout":
            return ["rollout", "start", model, str(intent.version)]
        case "rollback":
            return ["rollback", model]
        case "end-experiment":
            return ["experiment", "end", model, intent.experiment]
        case "keep-version":
            return ["version", "keep", model, str(intent.version)]
        case "release-version":
            return ["version", "release", model, str(intent.version)]
        case "revoke-client":
            return ["client", "revoke", intent.client]
        case "release-client":
            return ["client", "release", intent.client]
        case "set-pace":
            budget = ["--budget", str(intent.budget)] if intent.budget else ["--no-budget"]
            return ["fleet", "pace", "--ceiling", f"{intent.ceiling:g}", *budget]
        case move:
            return ["rollout", move, model]
