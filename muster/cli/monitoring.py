"""`muster status`, `muster why`, `muster objectives`, `muster metrics`, `muster alerts`, `muster threshold`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live

from muster.cli import budgets, figures, overview, pictures, render
from muster.cli.pictures import Force, Out
from muster.cli.session import DryRun, Json, Model, Session, of
from muster.operator.telling import silencing
from muster.wire import admin
from muster.wire.spelling import near

metrics = typer.Typer(no_args_is_help=True, help="What was measured.")
alerts = typer.Typer(no_args_is_help=True, help="Metrics that left their bounds.")
thresholds = typer.Typer(no_args_is_help=True, help="The bounds within which metrics are well.")


class HowSoon(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


Metric = Annotated[str, typer.Argument(help="The metric's name.", show_default=False)]
Watched = Annotated[str, typer.Argument(help="The model's name; - for the stack itself.", show_default=False)]
SomeModel = Annotated[str | None, typer.Argument(help="The model; without it, all.", show_default=False)]


def status(
    ctx: typer.Context,
    model: SomeModel = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: Json = False,
) -> None:
    """How a model stands: what it waits for, training, round, deployed version, clients, alerts, the last hour's metrics."""
    session = of(ctx)
    if not watch:
        found = _statuses(session, model)
        session.show(found[0] if model else found, as_json, lambda: _drawn(session, found))
        return
    try:
        _watch(session, model, every, as_json)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _watch(session: Session, model: str | None, every: float, as_json: bool) -> None:
    if as_json:
        while True:
            for found in _statuses(session, model):
                session.console.out(found.model_dump_json(), highlight=False)
            time.sleep(every)
    with Live(_page(session, model), console=session.console, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(_page(session, model), refresh=True)


def _statuses(session: Session, model: str | None) -> list[admin.ModelStatus]:
    names = [model] if model else [found.model for found in session.operator.models()]
    return [session.operator.status(name) for name in names]


def _page(session: Session, model: str | None) -> RenderableType:
    return _drawn(session, _statuses(session, model))


def _drawn(session: Session, found: Sequence[admin.ModelStatus]) -> RenderableType:
    objectives = {one.model: session.operator.objectives(one.model) for one in found}
    return overview.page(found, session.now(), session.operator.overview(), objectives)


def why(ctx: typer.Context, model: SomeModel = None, as_json: Json = False) -> None:
    """Why a model stands where it stands: what it waits for, since when, what ends that, and what to do."""
    session = of(ctx)
    if model is None:
        found = session.operator.overview()
        session.show(found, as_json, lambda: overview.whys(found))
        return
    one = session.operator.why(model)
    session.show(one, as_json, lambda: overview.why(model, one))


def objectives(ctx: typer.Context, model: Model, as_json: Json = False) -> None:
    """How a model's service objectives stand over thirty days, what is left of their error budgets, and for how long."""
    session = of(ctx)
    found = session.operator.objectives(model)
    session.show(found, as_json, lambda: budgets.page(found))


@metrics.command()
def query(
    ctx: typer.Context,
    model: Model,
    name: Metric,
    hours: Annotated[int, typer.Option(min=1, max=admin.LONGEST_QUERY_HOURS, help="How far back.")] = 1,
    as_json: Json = False,
) -> None:
    """A metric over the last hours: count, mean, min, max, sum."""
    session = of(ctx)
    found = session.operator.metric(model, name, hours)
    session.show(found, as_json, lambda: render.metric(found))


@metrics.command()
def plot(
    ctx: typer.Context,
    model: Model,
    name: Metric,
    hours: Annotated[int, typer.Option(min=1, max=admin.LONGEST_QUERY_HOURS, help="How far back.")] = 1,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """A metric's points over the last hours, as a curve: here, or in a PNG file.

    It needs the extra `notebook` of muster-fl.
    """
    session, path = of(ctx), pictures.checked(out, force)
    found = session.operator.metric(model, name, hours)
    curve = figures.Curve.of(found)
    if path is not None:
        pictures.png(path, curve)
    session.show(found, as_json, lambda: f"wrote {path}: {curve.title}" if path else curve)


@alerts.command("list")
def list_alerts(
    ctx: typer.Context,
    model: SomeModel = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not cleared.")] = False,
    as_json: Json = False,
) -> None:
    """Alerts that are open, and the last that were cleared."""
    session = of(ctx)
    names = [model] if model else [*(found.model for found in session.operator.models()), admin.NO_MODEL]
    found = [alert for name in names for alert in session.operator.alerts(name)]
    wanted = [alert for alert in found if not only_open or alert.state != "cleared"]
    session.show(wanted, as_json, lambda: render.alerts(wanted))


@alerts.command()
def ack(ctx: typer.Context, model: Watched, metric: Metric, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Say that you are looking after a metric's open alert."""
    session = of(ctx)
    if dry_run:
        found = [a for a in session.operator.alerts(model) if a.metric == metric and a.state == "open"]
        session.would(
            f"acknowledge alert {found[0].number} of {metric}" if found else "change nothing: no open alert waits for that",
            as_json,
        )
        return
    reply = session.operator.acknowledge(model, metric)
    session.show(reply, as_json, lambda: render.alerts([reply]))


@alerts.command()
def silence(
    ctx: typer.Context,
    model: Watched,
    metric: Metric,
    hours: Annotated[float, typer.Option(min=0.0, max=744.0, help="For how long; 0 ends a silence.")],
    because: Annotated[str | None, typer.Option(help="Why.", show_default=False)] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Tell nobody of a metric's alerts for a while. One that is still open after that is told of then."""
    session = of(ctx)
    if dry_run:
        session.would(silencing(model, metric, hours, session.operator.alerts_and_silences(model)), as_json)
        return
    reply = session.operator.silence(model, metric, 3600.0 * hours, because)
    until = f"nobody is told of {metric} of {model} until {reply.until:%Y-%m-%d %H:%M} UTC"
    session.show(reply, as_json, lambda: until if hours else f"{metric} of {model} is told of again")


@alerts.command("test")
def send_test(ctx: typer.Context, as_json: Json = False) -> None:
    """Send a message to all who are subscribed, which says that alerts arrive."""
    session = of(ctx)
    reply = session.operator.test_alerts()
    session.show(reply, as_json, lambda: f"sent (message {reply.message_id}); whoever is subscribed to the topic gets it now")


@thresholds.command("list")
def list_thresholds(ctx: typer.Context, model: Model, as_json: Json = False) -> None:
    """What is watched, and how it stands."""
    session = of(ctx)
    found = session.operator.thresholds(model)
    session.show(found, as_json, lambda: render.thresholds(found))


@thresholds.command("set")
def set_threshold(
    ctx: typer.Context,
    model: Model,
    metric: Metric,
    minimum: Annotated[float | None, typer.Option("--min", help="The least that is well.", show_default=False)] = None,
    maximum: Annotated[float | None, typer.Option("--max", help="The most that is well.", show_default=False)] = None,
    lasting: Annotated[
        float, typer.Option("--for", min=0.0, max=360.0, help="Minutes that a breach must last before an alert opens.")
    ] = 0.0,
    severity: Annotated[HowSoon, typer.Option(help="How soon somebody should look.")] = HowSoon.WARNING,
    none: Annotated[bool, typer.Option("--none", help="Watch the metric no more.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Watch a metric. An alert opens when its newest value leaves the bounds, and clears when it is back."""
    session = of(ctx)
    if none == (minimum is not None or maximum is not None):
        raise typer.BadParameter("give --min, --max or both; or --none to watch the metric no more", param_hint="threshold set")
    if dry_run:
        request = admin.SetThreshold(minimum=minimum, maximum=maximum, lasting_seconds=60.0 * lasting, severity=severity.value)
        session.operator.thresholds(model)
        session.would(f"watch {metric} of {model}" if not none else f"watch {metric} no more", as_json, request.model_dump())
        return
    reply = session.operator.set_threshold(
        model, metric, minimum, maximum, lasting_seconds=60.0 * lasting, severity=severity.value
    )
    if reply.value is None and not none:
        session.note(_unmeasured(session, model, metric))
    session.show(reply, as_json, lambda: render.thresholds([reply]))


def _unmeasured(session: Session, model: str, metric: str) -> str:
    """That a metric that is watched has had no value lately, and which one that has was perhaps meant."""
    watched = {threshold.metric for threshold in session.operator.thresholds(model)} - {metric}
    known = watched | session.operator.status(model).metrics.keys()
    return f"{metric} of {model} has no value yet, and without one no alert opens; {near(metric, known)}"
