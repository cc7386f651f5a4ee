"""Keep a version whatever else happens, or no longer than anything else does."""

from __future__ import annotations

from collections.abc import Mapping

from muster.console.doing.deed import Deed, Foreseen, would
from muster.console.intents import Intent, IntentKind
from muster.operator.client import Operator
from muster.operator.telling import pinning


def _foresee(operator: Operator, intent: Intent) -> Foreseen:
    found = operator.kept(intent.model, intent.version)
    return would(intent, pinning(found, pinned=intent.kind == "keep-version"))


def _perform(operator: Operator, intent: Intent, because: str | None) -> str:
    made = operator.pin(intent.model, intent.version, pinned=intent.kind == "keep-version")
    return f"{made.id} is kept {'whatever else happens' if made.pinned else 'as long as something else needs it'}."


DEEDS: Mapping[IntentKind, Deed] = {
    "keep-version": Deed(_foresee, _perform),
    "release-version": Deed(_foresee, _perform),
}
