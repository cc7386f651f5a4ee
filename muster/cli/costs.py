"""`muster cost`: what was spent, and what a model of another size would cost."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from muster.cli import render, sizes
from muster.cli.session import Json, Model, of
from muster.pacing import costing
from muster.pacing.costing import CostPlan, Size
from muster.pacing.intervals import CEILING_PER_SECOND, PaceRules
from muster.pricing.writing import written
from muster.wire import admin

app = typer.Typer(invoke_without_command=True, help="What is spent, by model and service, and what would be.")

Month = Annotated[str | None, typer.Option(help="2026-11; the present one if it is left out (UTC).", show_default=False)]

SHOWN_SERVICES = 6
"""The dearest, in a table."""


@app.callback()
def cost(ctx: typer.Context) -> None:
    """What the stack has used this month, by model and service, and how the month is likely to end."""
    if ctx.invoked_subcommand is None:
        show(ctx)


@app.command()
def show(ctx: typer.Context, month: Month = None, as_json: Json = False) -> None:
    """What the stack has used in a month: the same as `muster cost`."""
    session = of(ctx)
    found = session.operator.cost(month)
    session.show(found, as_json, lambda: of_stack(found))


@app.command("model")
def of_one(ctx: typer.Context, model: Model, month: Month = None, as_json: Json = False) -> None:
    """What a model has used in a month, day by day, and what its last rounds took."""
    session = of(ctx)
    found = session.operator.model_cost(model, month)
    session.show(found, as_json, lambda: of_model(found))


@app.command()
def plan(
    ctx: typer.Context,
    clients: Annotated[int, typer.Option(min=1, max=10**12, help="Of the fleet.", show_default=False)],
    megabytes: Annotated[float, typer.Option(min=0.001, max=5e6, help="Of the model, and of an update.", show_default=False)],
    goal: Annotated[int, typer.Option(min=1, max=100_000, help="Accepted updates that close a round.")] = 50,
    judges: Annotated[int, typer.Option(min=0, max=10_000, help="Clients that judge a candidate.")] = 15,
    every_seconds: Annotated[
        float, typer.Option(min=0.0, max=31 * 86_400.0, help="From one opening to the next; 0: one follows another.")
    ] = 3600.0,
    report_seconds: Annotated[float, typer.Option(min=1.0, max=43_200.0, help="From opening to the deadline.")] = 600.0,
    downloads: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of a checkpoint that a device downloads; with deltas, less.")
    ] = 1.0,
    keep_versions: Annotated[
        int | None, typer.Option(min=2, max=100_000, help="How many are kept.", show_default="all")
    ] = None,
    ceiling: Annotated[
        float, typer.Option(min=0.01, max=1e6, help="Requests a second, of all devices together.")
    ] = CEILING_PER_SECOND,
    as_json: Json = False,
) -> None:
    """What a model of a size would cost in a month. It asks no server."""
    session = of(ctx)
    if goal > clients:
        raise typer.BadParameter(f"{goal} updates cannot come from {clients} clients", param_hint="--goal")
    over_selection = float(admin.RoundConfig.model_fields["over_selection"].default)
    size = Size(
        clients=clients, model_bytes=megabytes * 1e6, places=min(clients, math.ceil(goal * over_selection)), updates=goal,
        judges=min(clients, judges), report_seconds=report_seconds, every_seconds=every_seconds, downloads=downloads,
        keep_versions=keep_versions,
    )  # fmt: skip
    found = costing.plan(size, PaceRules(ceiling=ceiling))
    if as_json:
        session.json(
            {
                "dollars_per_month": found.dollars,
                "rounds_per_month": found.rounds,
                "round": {"dollars": found.round_dollars, "by_service": dict(found.round_by_service)},
                "by_cause": dict(found.by_cause),
                "requests_per_second": found.fleet.in_training.per_second,
                "serves": found.fleet.serves,
            }
        )
    else:
        session.print(planned(found))


# ---- pages


def of_stack(found: admin.CostReply) -> RenderableType:
    """A month of a stack."""
    services = _dearest([one.spent.by_service for one in found.models])
    rows = [
        (
            one.model or "(no model)", _dollars(one.spent.dollars), *(_dollars(one.spent.by_service.get(s)) for s in services),
            _dollars(one.forecast), _dollars(one.kept_dollars or None), _budget(one),
        )
        for one in found.models
    ]  # fmt: skip
    columns = ["model", "dollars", *services, "month's end", "kept, a month", "budget"]
    there = [(what, _dollars(amount)) for what, amount in found.there.items() if amount]
    return Group(
        _head(found.month, found.dollars, found.forecast, found.is_whole),
        Text(""),
        render.table(columns, rows, ""),
        Text(""),
        Text("billed for being there, dollars a month", style="dim"),
        render.facts(there),
        _source(found),
    )


def of_model(found: admin.ModelCostReply) -> RenderableType:
    """A month of a model."""
    total = found.total
    days = [(day.day.isoformat(), _dollars(day.dollars)) for day in found.days]
    rounds = [
        (
            one.round,
            _dollars(one.spent.dollars),
            one.spent.amounts.get("api_requests"),
            one.spent.amounts.get("lambda_gb_seconds"),
            _bytes(one.spent.amounts.get("egress_gb")),
        )
        for one in found.rounds
    ]
    facts = [
        ("budget", _budget(total)),
        ("kept by versions", f"{_dollars(total.kept_dollars)} a month" if total.kept_dollars else None),
        *((service, _dollars(amount)) for service, amount in total.spent.by_service.items()),
    ]
    return Group(
        _head(f"{total.model}, {found.month}", total.spent.dollars, total.forecast, is_whole=False),
        render.facts([(name, value) for name, value in facts if value]),
        Text(""),
        render.table(["day", "dollars"], days, "nothing was counted in this month"),
        Text(""),
        render.table(["round", "dollars", "requests", "GB-seconds", "sent to devices"], rounds, "no round was counted yet"),
        _source(found),
    )


def planned(found: CostPlan) -> RenderableType:
    """A month of what there is not yet."""
    rows = [(what, _dollars(amount)) for what, amount in found.by_cause.items()]
    one = ", ".join(
        f"{service} {_dollars(amount)}" for service, amount in list(found.round_by_service.items())[:SHOWN_SERVICES]
    )
    parts: list[RenderableType] = [
        Text(f"{_dollars(found.dollars)} a month, of {found.rounds:,.0f} rounds at {_dollars(found.round_dollars)} ({one})"),
        Text(""),
        render.table(["what", "dollars a month"], rows, ""),
    ]
    if not found.fleet.serves:
        parts.append(Text("this ceiling cannot serve so many clients: see muster fleet plan", style="bold red"))
    return Group(*parts)


def _head(what: str, spent: float, forecast: float, is_whole: bool) -> Text:
    said = Text(f"{what}: {_dollars(spent)}", style="bold")
    return said if is_whole else said.append(f" so far, {_dollars(forecast)} at the month's end if it goes on like this", "")


def _source(found: admin.CostReply | admin.ModelCostReply) -> Text:
    return Text(
        f"as functions counted it, at prices of {found.region} of {found.priced_at}, without free tiers; AWS's bill decides",
        style="dim",
    )


def _budget(found: admin.ModelBill) -> str | None:
    if found.budget is None:
        return None
    return f"{_dollars(found.budget)}{', used up: training waits' if found.over_budget else ''}"


def _dearest(bills: list[dict[str, float]]) -> list[str]:
    sums: dict[str, float] = {}
    for services in bills:
        for service, amount in services.items():
            sums[service] = sums.get(service, 0.0) + amount
    return sorted(sums, key=lambda service: -sums[service])[:SHOWN_SERVICES]


def _dollars(amount: float | None) -> str | None:
    return None if amount is None else written(amount)


def _bytes(gigabytes: float | None) -> str | None:
    return None if gigabytes is None else sizes.size(round(gigabytes * 1e9))
