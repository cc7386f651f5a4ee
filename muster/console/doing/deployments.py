"""What clients are given: deploy, roll out and roll back, and end an experiment. Each is a revision of the deployments, made if
the one that was seen is still the newest; the dry run is the server's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from muster.console.doing.deed import Deed, Foreseen, would
from muster.console.intents import Intent, IntentKind
from muster.operator.client import Operator
from muster.operator.telling import did, moving, present
from muster.wire import admin

Decide = Callable[[Operator, Intent, str | None, bool], admin.DeploymentReply]
"""Makes a revision, for a reason, or, as a dry run, says which."""


def _deploy(operator: Operator, intent: Intent, because: str | None, dry_run: bool) -> admin.DeploymentReply:
    return operator.deploy(
        intent.model, intent.version, revision=intent.revision, strategy=intent.strategy, because=because, dry_run=dry_run
    )


def _roll_back(operator: Operator, intent: Intent, because: str | None, dry_run: bool) -> admin.DeploymentReply:
    return operator.rollback(intent.model, revision=intent.revision, because=because, dry_run=dry_run)


def _end(operator: Operator, intent: Intent, because: str | None, dry_run: bool) -> admin.DeploymentReply:
    return operator.end_experiment(intent.model, intent.experiment, revision=intent.revision, because=because, dry_run=dry_run)


def _move(move: Literal["pause", "resume", "promote", "abort"]) -> Decide:
    def decide(operator: Operator, intent: Intent, because: str | None, dry_run: bool) -> admin.DeploymentReply:
        return operator.move_rollout(intent.model, move, revision=intent.revision, because=because, dry_run=dry_run)

    return decide


def _deed(decide: Decide) -> Deed:
    def foresee(operator: Operator, intent: Intent) -> Foreseen:
        status = operator.status(intent.model)
        own = status.config.strategy or (admin.CANARY if intent.kind == "begin-rollout" else admin.IMMEDIATE)
        known = replace(intent, revision=status.deployment_revision, strategy=own)
        then = decide(operator, known, None, True)
        if then.revision == status.deployment_revision:
            return would(known, f"change nothing: {present(then)} already")
        changes = moving(status, then)
        return would(known, f"{did(then, would=True)}{f'; {changes}' if changes else ''}")

    def perform(operator: Operator, intent: Intent, because: str | None) -> str:
        made = decide(operator, intent, because, False)
        done = did(made)
        return f"{done[0].upper()}{done[1:]} (revision {made.revision})."

    return Deed(foresee, perform)


DEEDS: Mapping[IntentKind, Deed] = {
    "deploy": _deed(_deploy),
    "begin-rollout": _deed(_deploy),
    "rollback": _deed(_roll_back),
    "end-experiment": _deed(_end),
    "pause": _deed(_move("pause")),
    "resume": _deed(_move("resume")),
    "promote": _deed(_move("promote")),
    "abort": _deed(_move("abort")),
}
