"""`muster fleet`: how often devices come, within which bounds, and what a fleet of another size would ask for."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from muster.cli import render
from muster.cli.session import Because, DryRun, Json, of
from muster.operator.telling import bounding
from muster.pacing.intervals import CEILING_PER_SECOND, PaceRules, least_budget, least_ceiling
from muster.pacing.planning import FleetPlan, Rounds
from muster.pacing.planning import plan as planned
from muster.wire import admin

app = typer.Typer(invoke_without_command=True, help="How often devices come, and what that costs.")

CEILING_HELP = "Requests a second, of all devices together."
BUDGET_HELP = "Requests a month, of all devices together."


@app.callback()
def fleet(ctx: typer.Context) -> None:
    """How often devices come now, within which bounds, and what that costs."""
    if ctx.invoked_subcommand is None:
        show(ctx)


@app.command()
def show(ctx: typer.Context, as_json: Json = False) -> None:
    """How often devices come now: the same as `muster fleet`."""
    session = of(ctx)
    found = session.operator.pace()
    session.show(found, as_json, lambda: render.pace(found))


@app.command()
def pace(
    ctx: typer.Context,
    ceiling: Annotated[float | None, typer.Option(help=CEILING_HELP, show_default=False)] = None,
    budget: Annotated[int | None, typer.Option(help=BUDGET_HELP, show_default=False)] = None,
    no_budget: Annotated[bool, typer.Option("--no-budget", help="Let the ceiling alone bound them.")] = False,
    because: Because = None,
    revision: Annotated[
        int | None,
        typer.Option(min=0, help="The bounds' revision that you saw; without it, the present.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bound what the fleet sends. What is not given stays as it is."""
    if ceiling is None and budget is None and not no_budget:
        raise typer.BadParameter("give --ceiling, --budget or --no-budget", param_hint="fleet pace")
    if budget is not None and no_budget:
        raise typer.BadParameter("give --budget or --no-budget, not both", param_hint="fleet pace")
    session = of(ctx)
    present = session.operator.pace()
    wanted: dict[str, Any] = {
        "ceiling": present.ceiling if ceiling is None else ceiling,
        "budget": None if no_budget else present.budget if budget is None else budget,
    }
    seen = present.revision if revision is None else revision
    reply = session.operator.set_pace(**wanted, revision=seen, because=because, dry_run=dry_run)
    if dry_run:
        session.would(bounding(reply, seen), as_json, reply.model_dump(mode="json") if as_json else None)
        return
    session.show(reply, as_json, lambda: render.pace(reply))


@app.command()
def plan(
    ctx: typer.Context,
    clients: Annotated[int, typer.Option(min=1, max=10**12, help="Of the fleet.", show_default=False)],
    ceiling: Annotated[float, typer.Option(min=0.01, max=1e6, help=CEILING_HELP)] = CEILING_PER_SECOND,
    budget: Annotated[int | None, typer.Option(min=1, max=10**15, help=BUDGET_HELP, show_default="none")] = None,
    goal: Annotated[int, typer.Option(min=1, max=100_000, help="Accepted updates that close a round.")] = 1000,
    report_seconds: Annotated[float, typer.Option(min=1.0, max=43_200.0, help="From opening to the deadline.")] = 600.0,
    every_seconds: Annotated[
        float, typer.Option(min=0.0, max=31 * 86_400.0, help="From one opening to the next; 0: one follows another.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """What a fleet of any size would ask for and cost, at rest and in training. It asks no server."""
    session = of(ctx)
    config = admin.RoundConfig(goal=goal, quorum=1, report_seconds=report_seconds, every_seconds=every_seconds)
    rounds = Rounds(
        places=math.ceil(goal * config.over_selection),
        judges=math.ceil(config.evaluators * config.over_selection),
        report_seconds=report_seconds,
        every_seconds=every_seconds,
    )
    found = planned(PaceRules(ceiling=ceiling, budget=budget), clients, rounds)
    if as_json:
        session.json(_told(found, clients))
    else:
        session.print(_page(found, clients))


def _told(found: FleetPlan, clients: int) -> dict[str, Any]:
    rates = {
        name: {
            "requests_per_second": rate.per_second,
            "requests_per_month": rate.per_month,
            "requests_per_device_and_day": rate.per_day_of_each(clients),
            "dollars_per_month": rate.dollars_per_month,
        }
        for name, rate in (("idle", found.resting), ("training", found.in_training))
    }
    return {
        "clients": clients,
        "idle": {**dataclasses.asdict(found.idle), **rates["idle"]},
        "training": {**dataclasses.asdict(found.training), **rates["training"]},
        "serves": found.serves,
        "least_ceiling": least_ceiling(clients),
        "least_budget": math.ceil(least_budget(clients)),
    }


def _page(found: FleetPlan, clients: int) -> RenderableType:
    rows = [
        (
            name, render.duration(paces.heartbeat_seconds), render.duration(paces.waiting_seconds) if waits else None,
            render.together(paces.meeting_seconds) if waits else None, rate.per_second, rate.per_month,
            rate.per_day_of_each(clients), f"${rate.dollars_per_month:,.2f}",
        )
        for name, paces, rate, waits in (
            ("idle", found.idle, found.resting, False), ("training", found.training, found.in_training, True),
        )
    ]  # fmt: skip
    columns = ["", "heartbeat", "check-in", "they come", "requests/s", "a month", "a device and day", "dollars a month"]
    page = [render.table(columns, rows, "")]
    if not found.serves:
        least = f"--ceiling {least_ceiling(clients):.2f} and --budget {math.ceil(least_budget(clients))}"
        page.append(render.facts([("refused", "these bounds cannot serve so many clients"), ("at least", least)]))
    return Group(*page)
