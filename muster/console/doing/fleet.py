"""Revoke a client's key, let one out of its quarantine, and bound what all devices send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from muster.console.doing.deed import Deed, Foreseen, would
from muster.console.intents import Intent, IntentKind
from muster.operator.client import Operator
from muster.operator.telling import bounding, releasing, revoking


def _foresee_revoking(operator: Operator, intent: Intent) -> Foreseen:
    return would(intent, revoking(operator.client(intent.client)))


def _revoke(operator: Operator, intent: Intent, because: str | None) -> str:
    return f"The key of {operator.revoke(intent.client).client_id} is revoked."


def _foresee_releasing(operator: Operator, intent: Intent) -> Foreseen:
    return would(intent, releasing(operator.client(intent.client)))


def _release(operator: Operator, intent: Intent, because: str | None) -> str:
    return f"{operator.release(intent.client).client_id} is given work again; its strikes are forgotten."


def _foresee_bounds(operator: Operator, intent: Intent) -> Foreseen:
    seen = operator.pace()
    then = operator.set_pace(intent.ceiling, intent.budget or None, revision=seen.revision, dry_run=True)
    return would(replace(intent, revision=seen.revision), bounding(then, seen.revision))


def _bound(operator: Operator, intent: Intent, because: str | None) -> str:
    made = operator.set_pace(intent.ceiling, intent.budget or None, revision=intent.revision, because=because)
    return f"The fleet's bounds are those of revision {made.revision}."


DEEDS: Mapping[IntentKind, Deed] = {
    "revoke-client": Deed(_foresee_revoking, _revoke),
    "release-client": Deed(_foresee_releasing, _release),
    "set-pace": Deed(_foresee_bounds, _bound),
}
