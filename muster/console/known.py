"""What the console knows: answers of the API, each with the time at which it came (values, and rules about them).

    a page ──▶ Wish: one question to the API ──▶ Learnt: its answer, and when ──▶ Known: all of them

A page says what it wishes to know, given what is known (`muster.console.views`): which models there are comes before how each
of them stands. What is asked again when, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from muster.wire import admin

WishKind = Literal[
    "overview", "why", "status", "versions", "version", "rounds", "round", "receipts", "judges", "deployments", "rollout",
    "experiments", "alerts", "objectives", "statistics", "pace", "active", "clients", "client", "cost", "model-cost",
]  # fmt: skip

LOOK_SECONDS = 2.0
"""Between two looks of the console, while a page is open."""

EVERY: Mapping[WishKind, float] = {
    "overview": 2.0, "why": 2.0, "status": 2.0, "round": 2.0, "rollout": 2.0, "version": 4.0, "client": 4.0, "experiments": 4.0,
    "statistics": 10.0, "pace": 10.0, "clients": 10.0, "versions": 30.0, "rounds": 30.0, "deployments": 30.0,
    "receipts": 10.0, "judges": 10.0, "objectives": 30.0, "active": 60.0, "alerts": 60.0, "cost": 60.0, "model-cost": 60.0,
}  # fmt: skip
"""Seconds after which a question is asked again."""

FOLLOWING = frozenset[WishKind]({"versions", "rounds", "deployments", "alerts", "experiments"})
"""Lists that are asked again as soon as their model's status says that something happened; of alerts the overview says it."""

KEPT = timedelta(minutes=10)
"""How long an answer is kept that no page wishes for."""

MOST_MODELS = 100
"""Models that a page lists."""
MOST_ROWS = 100
"""Rows of a list that are read, newest first."""


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """One question: what kind, of which model, of which round or client, and which of what there is."""

    kind: WishKind
    model: str = ""
    name: str = ""
    only: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    """What the query says."""

    def __str__(self) -> str:
        return " ".join(filter(None, ("the", self.kind, self.name, self.model and f"of {self.model}")))


@dataclass(frozen=True, slots=True)
class Denied:
    """The server refused to answer this question, and why: asking again gets the same."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """An answer."""

    value: object
    at: datetime
    mark: object = None
    """What was known then of what it follows (`mark_of`)."""
    is_stale: bool = False
    """Whether something was changed since, by this console."""


Fact = TypeVar("Fact")
Wishes = Callable[["Known"], frozenset[Wish]]
"""What a page wishes to know, given what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All answers, and what is wrong with asking."""

    learnt: Mapping[Wish, Learnt] = field(default_factory=dict)
    trouble: str | None = None
    """Why the last look came to nothing, as a sentence; None when it did not."""
    looked_at: datetime | None = None
    """When a look last came to its end."""
    asking_since: datetime | None = None
    """When the look began that goes on; None between two."""

    def found(self, wish: Wish, kind: Callable[..., Fact] | type[Fact]) -> Fact | None:
        """The answer to a wish, if there is one of that kind."""
        learnt = self.learnt.get(wish)
        return learnt.value if learnt is not None and isinstance(learnt.value, kind) else None  # type: ignore[arg-type]

    def denied(self, wish: Wish) -> str | None:
        """Why the server did not answer, if it refused."""
        refusal = self.found(wish, Denied)
        return refusal.sentence if refusal else None

    def overview(self) -> admin.Overview | None:
        """All models at a glance."""
        return self.found(Wish("overview"), admin.Overview)

    def status(self, model: str) -> admin.ModelStatus | None:
        """How a model stands."""
        return self.found(Wish("status", model), admin.ModelStatus)

    def versions(self, model: str) -> list[admin.VersionReply]:
        """A model's last versions, newest first."""
        return self._list(Wish("versions", model))

    def rounds(self, model: str) -> list[admin.RoundReply]:
        """A model's last rounds, newest first."""
        return self._list(Wish("rounds", model))

    def deployments(self, model: str) -> list[admin.DeploymentReply]:
        """The last of a model's deployments, newest first."""
        return self._list(Wish("deployments", model))

    def alerts(self, model: str) -> admin.AlertList | None:
        """A model's alerts, or the stack's: those that are open, the last that were cleared, and what is silenced."""
        return self.found(Wish("alerts", model), admin.AlertList)

    def _list(self, wish: Wish) -> list[Any]:
        return self.found(wish, list) or []


def mark_of(wish: Wish, known: Known) -> object:
    """What changes when something happened to a model, or to the stack, that this list tells."""
    if wish.kind == "alerts":
        return _open_alerts(wish.model, known.overview())
    status = known.status(wish.model)
    if status is None:
        return None
    rnd = status.round
    return (
        status.newest_version, status.deployment_revision, status.config_revision, status.experiments,
        rnd and (rnd.number, rnd.phase, rnd.version, rnd.deployed), [(a.metric, a.number, a.state) for a in status.alerts],
    )  # fmt: skip


def _open_alerts(model: str, overview: admin.Overview | None) -> object:
    if overview is None:
        return None
    alerts = [*overview.alerts, *(alert for one in overview.models for alert in one.alerts)]
    return {(alert.metric, alert.number, alert.state, alert.silent_until) for alert in alerts if alert.model == model}


def is_due(wish: Wish, known: Known, now: datetime) -> bool:
    """Whether a question is to be asked now."""
    learnt = known.learnt.get(wish)
    if learnt is None or learnt.is_stale or now - learnt.at >= timedelta(seconds=EVERY[wish.kind]):
        return True
    return wish.kind in FOLLOWING and learnt.mark != mark_of(wish, known)


def still_kept(known: Known, wanted: frozenset[Wish], now: datetime) -> dict[Wish, Learnt]:
    """The answers that are wished for, or were not long ago."""
    return {wish: learnt for wish, learnt in known.learnt.items() if wish in wanted or now - learnt.at < KEPT}
