"""How models stand, as a page: each model by itself, and the fleet, which is all models', once at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from muster.cli import budgets, render, sizes
from muster.wire import admin

SEPARATOR = 40
"""Columns of the line between two models."""

OF_THE_FLEET = {"clients": "clients (whole fleet)"}
"""What is recorded beside a model's metrics, and is no model's."""


def page(
    found: Sequence[admin.ModelStatus],
    now: datetime,
    overview: admin.Overview | None = None,
    objectives: Mapping[str, admin.ObjectiveList] | None = None,
) -> RenderableType:
    """Some models, first what each waits for, if that was asked, last how their objectives stand, if that was, and the fleet as
    it was when it was counted, which was so long before `now`.
    """
    if not found:
        return render.models([])
    waits = {one.model: why(one.model, one.why) for one in (overview.models if overview else [])}
    parts: list[RenderableType] = []
    for one in found:
        parts += [Text("─" * SEPARATOR, style="dim")] if parts else []
        parts += [waits[one.model], Text("")] if one.model in waits else []
        parts.append(_model(one, now))
        if objectives and one.model in objectives:
            parts += [Text(""), budgets.section(objectives[one.model])]
    return Group(*parts, Text(""), _fleet(found[0].clients, now))


def whys(found: admin.Overview) -> RenderableType:
    """What each model waits for, and what concerns the whole stack."""
    parts: list[RenderableType] = [Text(trouble, style="bold red") for trouble in found.troubles]
    for one in found.models:
        own = [said for said in one.why.also if said not in found.troubles]
        parts.append(why(one.model, one.why.model_copy(update={"also": own})))
    return Group(*parts) if parts else Text("there is no model yet")


def why(model: str, found: admin.Why) -> RenderableType:
    """What a model waits for: a sentence, what else is to be said, and what to type next."""
    said = Text()
    said.append(f"{model}: ", style="bold")
    said.append(found.sentence, style="bold red" if found.needs_somebody else "")
    for more in found.also:
        said.append(f"\n  {more}", style="yellow")
    if found.command is not None:
        said.append("\n  next: " if found.needs_somebody else "\n  to go on: ", style="dim")
        said.append(found.command)
    return said


def age(at: datetime, now: datetime) -> str:
    """How long ago something was, for a person. A clock that is behind the server's makes it no time at all."""
    seconds = max(0.0, (now - at).total_seconds())
    for unit, length in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _model(found: admin.ModelStatus, now: datetime) -> RenderableType:
    rnd = found.round
    current: object = None
    if rnd is not None:
        current = (
            f"{rnd.round} {rnd.phase}: {rnd.accepted} of {found.config.goal} accepted, {sum(rnd.rejected.values())} rejected, "
            f"{render.failures(rnd)} failed"
        )
    head = render.facts([
        ("model", Text(found.model, style="bold")),
        ("training", render.training(found.training)),
        ("deployed", f"version {found.deployed_version} (revision {found.deployment_revision})"),
        *([("rollout", render.going_on(found.rollout))] if found.rollout else []),
        *([("experiments", ", ".join(found.experiments))] if found.experiments else []),
        ("newest", f"version {found.newest_version}"),
        ("round", current),
        *([("judges", render.judges(rnd))] if rnd is not None and rnd.phase == "evaluating" else []),
        *_why_failed(rnd),
        ("judged by", f"{found.config.metric}; deployed above a gain of {found.config.min_gain:g}"),
        ("clients", _clients(found, now)),
        *_pace_of(found.pace),
        ("storage", sizes.storage(found.storage)),
    ])  # fmt: skip
    rows = [(OF_THE_FLEET.get(name, name), m.last, m.mean, m.min, m.max, m.count) for name, m in found.metrics.items()]
    metrics: RenderableType = render.table(
        ["last hour", "last", "mean", "min", "max", "count"], rows, "no metrics in the last hour"
    )
    judged = [name for name in ("gain", found.config.metric.name) if name in found.metrics and found.metrics[name].count > 1]
    if judged:
        said = f"{' and '.join(judged)}: each round has judges of its own, so these figures do not compare rounds"
        metrics = Group(metrics, Text(said, style="dim"))
    raised = render.alerts(found.alerts) if found.alerts else Text("no open alerts", style="green")
    return Group(head, Text(""), raised, Text(""), metrics)


def _clients(found: admin.ModelStatus, now: datetime) -> str:
    """How many run the model: of the fleet only that is the model's own."""
    fleet = found.clients
    if fleet.counted_at is None:
        return "not counted yet"
    return f"{fleet.active_by_model.get(found.model, 0):,} active, that run this model; counted {age(fleet.counted_at, now)}"


def _fleet(found: admin.FleetStatistics, now: datetime) -> RenderableType:
    if found.counted_at is None:
        return Text("the whole fleet: not counted yet", style="dim")
    counted = Text()
    counted.append("the whole fleet, of all models", style="bold")
    counted.append(f" (counted {age(found.counted_at, now)}, {found.counted_at:%Y-%m-%d %H:%M:%S})")
    figures = render.facts([
        ("clients", f"{found.clients:,} enrolled, {found.active:,} active, {found.revoked:,} revoked"),
        ("updates", f"{found.rounds:,} passed inspection, from {found.samples:,} samples"),
        ("types", found.by_device_type),
        ("SDK", found.by_sdk_version),
    ])  # fmt: skip
    return Group(counted, figures)


def _why_failed(rnd: admin.RoundReply | None) -> list[tuple[str, object]]:
    """By reason, what failed in a round; a line each for training and judging, and none for nothing."""
    if rnd is None:
        return []
    return [(what, counts) for what, counts in (("failed", rnd.failed), ("judges failed", rnd.judges_failed)) if counts]


def _pace_of(found: admin.ModelPace | None) -> list[tuple[str, object]]:
    """How often a model's devices come, for its status; a server of before does not say."""
    if found is None:
        return []
    said = f"a heartbeat every {render.duration(found.heartbeat_seconds)}"
    if found.waiting_seconds is not None:
        said += f", a check-in every {render.duration(found.waiting_seconds)}, {render.together(found.meeting_seconds)}"
    trouble: list[tuple[str, object]] = [("trouble", Text(found.trouble, style="bold red"))] if found.trouble else []
    return [("pace", said), *trouble]
