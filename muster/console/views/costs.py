"""What is spent: a month of the stack; a month of a model, its last rounds, and what another size of it would cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from math import ceil

from muster.console import words
from muster.console.known import MOST_MODELS, Known, Wish
from muster.console.views import charts
from muster.console.views.blocks import (
    Block,
    DataTable,
    Section,
    Sentence,
    Span,
    Terms,
    View,
    plain,
    to_cost,
    to_model,
    to_round,
    unknown,
)
from muster.pacing import costing
from muster.pacing.costing import Size, plan
from muster.pacing.intervals import PaceRules
from muster.pricing.writing import written
from muster.wire import admin

COST = Wish("cost")
MOST_SERVICES = 6
"""The dearest, in a table."""
MOST_DAYS = 31


def wishes(known: Known) -> frozenset[Wish]:
    """The present month, of all models."""
    return frozenset({COST})


def view(known: Known, now: datetime) -> View:
    """The page of the stack."""
    found = known.found(COST, admin.CostReply)
    if found is None:
        said = Sentence(known.denied(COST) or "Asking what was spent.", "quiet")
        return View(title="Cost", sections=(Section("This month", (said,)),))
    facts = Terms((
        ("so far", Span(written(found.dollars))),
        ("at the month's end, if it goes on like this", Span(written(found.forecast))),
        *((f"{what}, a month", Span(written(dollars))) for what, dollars in found.there.items() if dollars),
    ))  # fmt: skip
    sections = (
        Section(f"{found.month}", (facts, _source(found))),
        Section("By model and service", (_by_model(found), *_by_service(found))),
    )
    return View(title="Cost", sections=sections)


def _by_model(found: admin.CostReply) -> DataTable:
    services = _dearest(found.models)
    rows = tuple(
        (
            Span(one.model, to_cost(one.model).href) if one.model else Span("of no model"), Span(written(one.spent.dollars)),
            *(Span(_or_dash(one.spent.by_service.get(service))) for service in services),
            Span(written(one.forecast)), Span(_or_dash(one.kept_dollars or None)), _budget(one),
        )
        for one in found.models[:MOST_MODELS]
    )  # fmt: skip
    columns = ("model", "dollars", *services, "month's end", "kept, a month", "budget")
    return DataTable(
        caption="What each model has used, dearest first", columns=columns, rows=rows, empty="Nothing was counted yet.",
        numbers=frozenset(columns[1:-1]),
    )  # fmt: skip


def _by_service(found: admin.CostReply) -> Iterator[Block]:
    services = _dearest(found.models)
    shown = [one for one in found.models if one.spent.dollars][:5]
    if not services or not shown:
        return
    series = {one.model or "of no model": [one.spent.by_service.get(service, 0.0) for service in services] for one in shown}
    totals = [(service, sum(values[at] for values in series.values())) for at, service in enumerate(services)]
    label = f"Dollars by service: {', '.join(f'{service} {written(dollars)}' for service, dollars in totals)}."
    yield charts.stacks(label, services, series, unit="dollars", sideways=True, whole=False)


def _dearest(bills: list[admin.ModelBill]) -> tuple[str, ...]:
    sums: dict[str, float] = {}
    for one in bills:
        for service, dollars in one.spent.by_service.items():
            sums[service] = sums.get(service, 0.0) + dollars
    return tuple(sorted(sums, key=lambda service: -sums[service])[:MOST_SERVICES])


def _budget(found: admin.ModelBill) -> Span:
    if found.budget is None:
        return Span("–")
    if found.over_budget:
        return Span(f"{written(found.budget)}, used up: training waits", tone="bad")
    return Span(written(found.budget))


def _source(found: admin.CostReply | admin.ModelCostReply) -> Sentence:
    return Sentence(
        f"As functions had counted it at {words.time(found.at)} UTC, at prices of {found.region} of {found.priced_at}, without "
        "free tiers. AWS's bill decides.",
        "quiet",
    )


def _or_dash(dollars: float | None) -> str:
    return "–" if dollars is None else written(dollars)


# ---- one model


def wishes_of_one(model: str, known: Known) -> frozenset[Wish]:
    """Its month; and how large it is, of how many clients, at which pace: a plan is made of that."""
    return frozenset({Wish("model-cost", model), Wish("status", model), Wish("versions", model), Wish("pace")})


def view_of_one(model: str, known: Known, now: datetime) -> View:
    """The page of one model."""
    wish = Wish("model-cost", model)
    found = known.found(wish, admin.ModelCostReply)
    if found is None:
        return unknown(f"Cost of {model}", known.denied(wish))
    total = found.total
    facts = Terms((
        ("so far", Span(written(total.spent.dollars))),
        ("at the month's end, if it goes on like this", Span(written(total.forecast))),
        ("budget", _budget(total)),
        ("kept by versions, a month", Span(_or_dash(total.kept_dollars or None))),
        *((service, Span(written(dollars))) for service, dollars in total.spent.by_service.items()),
        ("model", to_model(model)),
    ))  # fmt: skip
    sections = [
        Section(found.month, (facts, *_by_day(found), _source(found))),
        Section("Rounds", (_rounds(model, found),)),
        *_plans(model, known),
    ]
    return View(title=f"Cost of {model}", sections=tuple(sections), back=Span("Cost", "/cost"))


def _by_day(found: admin.ModelCostReply) -> Iterator[Block]:
    days = found.days[-MOST_DAYS:]
    if not days:
        return
    dearest = max(days, key=lambda each: each.dollars)
    label = f"Dollars by day: {words.many(len(days), 'day')}, the dearest {dearest.day} with {written(dearest.dollars)}."
    names = [each.day.isoformat()[5:] for each in days]
    yield charts.stacks(label, names, {"dollars": [each.dollars for each in days]}, whole=False)


def _rounds(model: str, found: admin.ModelCostReply) -> DataTable:
    rows = tuple(
        (
            to_round(model, one.round),
            *plain(
                written(one.spent.dollars),
                words.number(one.spent.amounts.get("api_requests", 0.0)),
                words.number(one.spent.amounts.get("lambda_gb_seconds", 0.0)),
                words.size(1e9 * one.spent.amounts.get("egress_gb", 0.0)),
            ),
        )
        for one in found.rounds
    )
    columns = ("round", "dollars", "requests", "GB-seconds", "sent to devices")
    return DataTable(
        caption="What the last rounds took, newest first", columns=columns, rows=rows, empty="No round was counted yet.",
        numbers=frozenset(columns),
    )  # fmt: skip


def _plans(model: str, known: Known) -> Iterator[Section]:
    """A month of it as it is, and with other sizes and paces."""
    status, pace, versions = known.status(model), known.found(Wish("pace"), admin.FleetPace), known.versions(model)
    if status is None or pace is None or not versions or not status.clients.clients:
        return
    present, config = status.clients.clients, status.config
    size = Size(
        clients=present,
        model_bytes=versions[0].checkpoint.bytes,
        places=min(present, ceil(config.goal * config.over_selection)),
        updates=min(present, config.goal),
        judges=min(present, config.evaluators),
        report_seconds=config.report_seconds,
        every_seconds=config.every_seconds,
        keep_versions=config.keep_versions,
    )
    apart = max(config.every_seconds, config.report_seconds)
    rules = PaceRules(ceiling=pace.ceiling, budget=pace.budget)
    what_if = {
        "as it is": size,
        "a round half as often": replace(size, every_seconds=2 * apart),
        "half as many updates a round": replace(size, updates=size.updates / 2, places=size.places / 2),
        "a third of each checkpoint downloaded (deltas)": replace(size, downloads=1 / 3),
        "twice as many devices": replace(size, clients=2 * present),
        "ten times as many devices": replace(size, clients=10 * present),
    }
    plans = {name: plan(other, rules) for name, other in what_if.items()}
    rows = tuple(
        plain(
            name, written(found.dollars), written(found.by_cause[costing.ROUNDS]), written(found.by_cause[costing.DEVICES]),
            words.number(found.rounds), written(found.round_dollars),
        )
        for name, found in plans.items()
    )  # fmt: skip
    columns = ("if", "dollars a month", "rounds", "devices that wait", "rounds a month", "one round")
    table = DataTable(
        caption="What a month of it would cost, if it trained all the time", columns=columns, rows=rows, empty="",
        numbers=frozenset(columns[1:]),
    )  # fmt: skip
    counted = f"Reckoned for {words.many(present, 'client')} and {words.size(size.model_bytes)}; muster cost plan has more."
    yield Section("If it were otherwise", (table, Sentence(counted, "quiet")))
