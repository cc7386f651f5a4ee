"""`muster experiment` and `muster cohort`: two or more versions at once, and among whom."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

import typer

from muster.cli import render
from muster.cli.rollouts import tell
from muster.cli.session import Because, DryRun, Json, Limit, Model, Revision, of
from muster.wire import admin

app = typer.Typer(no_args_is_help=True, help="Try two or more versions at once, to know which is better.")
cohorts = typer.Typer(no_args_is_help=True, help="Named sets of clients.")

Name = Annotated[str, typer.Argument(help="The experiment's name.", show_default=False)]
Cohort = Annotated[str, typer.Argument(help="The cohort's name.", show_default=False)]
Among = Annotated[str | None, typer.Option(help="Whose clients take part (muster cohort list); all.", show_default=False)]
Horizon = Annotated[
    float | None,
    typer.Option(help="Seconds until it ends and is looked at once; without it look when you like.", show_default=False),
]
Layer = Annotated[str, typer.Option(help="The layer of --slice; slices of one layer that do not overlap share nobody.")]


@app.command()
def start(
    ctx: typer.Context,
    model: Model,
    name: Name,
    arm: Annotated[
        list[str],
        typer.Option(help="NAME=VERSION:PERCENT, such as new=7:50; given again for each. The first is the control."),
    ],
    cohort: Annotated[
        str | None, typer.Option(help="Among whom (muster cohort list); all clients.", show_default=False)
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help='Another metric than the one that decides in rounds, as JSON: \'{"name": "loss", "direction": "lower", '
            '"minimum": 0, "maximum": 4}\'.',
            show_default=False,
        ),
    ] = None,
    horizon: Horizon = None,
    level: Annotated[float, typer.Option(help="How probable a wrong interval may be.")] = 0.05,
    least: Annotated[int, typer.Option(help="Clients of an arm before which nothing is said.")] = 24,
    because: Because = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Begin an experiment: each client of the cohort is given the version of its arm, and reports the metric once."""
    session = of(ctx)
    status = session.operator.status(model)
    seen = revision or status.deployment_revision
    request = admin.StartExperiment(
        name=name,
        arms=[_arm(text) for text in arm],
        cohort=cohort,
        metric=None if metric is None else _json(metric, "--metric"),
        level=level,
        least=least,
        horizon_seconds=horizon,
        revision=seen,
        dry_run=dry_run,
        because=because or "an operator wants to know",
    )
    reply = session.operator.start_experiment(model, request)
    if dry_run:
        active = status.clients.active_by_model.get(model, 0)
        if cohort is not None:
            members = session.operator.cohort(cohort).active
            active = active if members is None else min(active, members)
        shares = ", ".join(
            f"{each.name} (version {each.version}) to some {active * each.weight / 100:.0f}" for each in request.arms
        )
        session.would(
            f"begin {name} among some {active} active clients: {shares}",
            as_json,
            request.model_dump(mode="json") if as_json else None,
        )
        return
    tell(ctx, reply, seen, dry_run, as_json)


@app.command("list")
def list_(ctx: typer.Context, model: Model, limit: Limit = 20, as_json: Json = False) -> None:
    """The experiments of a model: those that go on, and what those that are over have found, newest first."""
    session = of(ctx)
    now = session.operator.experiments(model).experiments
    over = (one.ended for one in session.operator.deployments(model) if one.ended is not None)
    found = [*now, *islice(over, max(0, limit - len(now)))]
    session.show(found, as_json, lambda: render.experiments(found, {one.experiment for one in now}))


@app.command()
def show(ctx: typer.Context, model: Model, name: Name, as_json: Json = False) -> None:
    """One experiment, going on or over: the arms, and by how much each is better than the control."""
    session = of(ctx)
    found = session.operator.experiment(model, name)
    session.show(found, as_json, lambda: render.experiment(found))


@app.command()
def end(
    ctx: typer.Context,
    model: Model,
    name: Name,
    because: Because = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """End an experiment: its clients get the deployed version again. What it has found stays in the history."""
    session = of(ctx)
    seen = revision or session.operator.status(model).deployment_revision
    reply = session.operator.end_experiment(model, name, revision=seen, because=because, dry_run=dry_run)
    tell(ctx, reply, seen, dry_run, as_json)


@cohorts.command("list")
def list_cohorts(ctx: typer.Context, as_json: Json = False) -> None:
    """Cohorts, with their rules and sizes."""
    session = of(ctx)
    found = session.operator.cohorts()
    session.show(found, as_json, lambda: render.cohorts(found))


@cohorts.command("show")
def show_cohort(ctx: typer.Context, cohort: Cohort, as_json: Json = False) -> None:
    """One cohort."""
    session = of(ctx)
    found = session.operator.cohort(cohort)
    session.show(found, as_json, lambda: render.cohort(found))


@cohorts.command("set")
def set_cohort(
    ctx: typer.Context,
    cohort: Cohort,
    device_type: Annotated[list[str] | None, typer.Option(help="One of these types.", show_default=False)] = None,
    sdk_version: Annotated[list[str] | None, typer.Option(help="One of these SDK versions.", show_default=False)] = None,
    capability: Annotated[
        list[str] | None,
        typer.Option(help='NAME=VALUE in JSON, such as gpu=true, ram_gb={"minimum": 4} or region="eu".', show_default=False),
    ] = None,
    share: Annotated[
        str | None, typer.Option("--slice", help="FROM-TO in per cent of a layer, such as 0-20.", show_default=False)
    ] = None,
    layer: Annotated[
        str, typer.Option(help="The layer of --slice; slices of one layer that do not overlap share nobody.")
    ] = "fleet",
    because: Because = None,
    revision: Annotated[
        int | None,
        typer.Option(
            min=0, help="The cohort's revision that you saw; 0 for a new name. Without it, the present.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a cohort, or its next revision. What began with an earlier revision goes on with that one."""
    session = of(ctx)
    said: dict[str, Any] = {
        "device_types": device_type or [],
        "sdk_versions": sdk_version or [],
        "capabilities": dict(_capability(text) for text in capability or []),
        "slice": None if share is None else _slice(share, layer),
    }
    rule = admin.CohortRule.model_validate(said)
    if revision is None:
        revision = next((one.revision for one in session.operator.cohorts() if one.cohort == cohort), 0)
    reply = session.operator.set_cohort(cohort, rule, revision=revision, because=because, dry_run=dry_run)
    if dry_run:
        what = f"keep {cohort}.{reply.revision}" if reply.revision == revision else f"make {cohort}.{reply.revision}"
        session.would(what, as_json, reply.model_dump(mode="json") if as_json else None)
    elif as_json:
        session.json(reply.model_dump(mode="json"))
    else:
        session.say(f"cohort {reply.cohort} has revision {reply.revision}", "green")


def _arm(text: str) -> admin.Arm:
    name, _, rest = text.partition("=")
    version, _, weight = rest.rpartition(":")
    try:
        return admin.Arm(name=name, version=version, weight=float(weight))
    except ValueError as error:
        raise typer.BadParameter(
            f"expected NAME=VERSION:PERCENT, such as new=7:50, got {text!r}", param_hint="--arm"
        ) from error


def _capability(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, _json(value, "--capability")


def _slice(text: str, layer: str) -> dict[str, Any]:
    begins, _, ends = text.partition("-")
    try:
        return {"layer": layer, "begins": float(begins), "ends": float(ends)}
    except ValueError as error:
        expected = f"expected FROM-TO in per cent, such as 0-20, got {text!r}"
        raise typer.BadParameter(expected, param_hint="--slice") from error


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected JSON (text in quotes), got {text!r}", param_hint=option) from error
