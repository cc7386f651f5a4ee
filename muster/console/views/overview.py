"""The first page: each model, what it waits for, and what is wrong with the whole stack. It costs one request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from muster.console import words
from muster.console.known import MOST_MODELS, Known, Wish
from muster.console.views.blocks import Block, DataTable, Section, Sentence, Span, Terms, View, state, to_model, to_round
from muster.console.views.why import whole
from muster.wire import admin

COLUMNS = ("model", "what it waits for", "training", "deployed", "round", "rollout", "active", "alerts")
OVERVIEW = Wish("overview")


def wishes(known: Known) -> frozenset[Wish]:
    """All models at a glance."""
    return frozenset({OVERVIEW})


def view(known: Known, now: datetime) -> View:
    """The page."""
    found = known.overview()
    if found is None:
        said = Sentence(known.denied(OVERVIEW) or "Asking which models there are.", "quiet")
        return View(title="Overview", sections=(Section("Models", (said,)),))
    sections = [*_troubles(found), Section("Models", tuple(_models(found))), Section("Fleet", (_fleet(found),))]
    return View(title="Overview", sections=tuple(sections))


def _troubles(found: admin.Overview) -> Iterator[Section]:
    said = [Sentence(whole(trouble), "bad") for trouble in found.troubles]
    said += [Sentence(f"The alarm {alarm.name} rings: {alarm.description}", "bad") for alarm in found.alarms]
    if said:
        yield Section("Of the whole stack", tuple(said))


def _models(found: admin.Overview) -> Iterator[Block]:
    shown = found.models[:MOST_MODELS]
    yield DataTable(
        caption="Models, and what each waits for",
        columns=COLUMNS,
        rows=tuple(_row(one, found) for one in shown),
        empty="There are no models yet: muster model create.",
        numbers=frozenset({"deployed", "active"}),
    )
    if len(found.models) > len(shown):
        yield Sentence(f"{len(found.models) - len(shown)} more models are not shown; muster why MODEL tells of any.", "quiet")


def _row(one: admin.ModelOverview, found: admin.Overview) -> tuple[Span, ...]:
    also = [whole(said) for said in one.why.also if said not in found.troubles]
    training, count = one.training, len(one.alerts)
    updates = f", {one.accepted} of {one.goal}" if one.phase == "collecting" and one.accepted is not None else ""
    return (
        to_model(one.model),
        Span(" ".join([whole(one.why.sentence), *also]), tone="bad" if one.why.needs_somebody else ""),
        Span(f"{training.state}, {training.rounds_completed} of {training.rounds_wanted}", tone=state(training.state).tone)
        if training
        else Span("cannot be read", tone="bad"),
        Span(words.number(one.deployed_version)),
        Span(f"{one.round}, {one.phase}{updates}", to_round(one.model, one.round).href, state(one.phase or "").tone)
        if one.round is not None
        else Span("–"),
        Span(f"version {one.candidate_version} at {words.percent(one.percent or 0.0)}", tone="busy")
        if one.candidate_version is not None
        else Span("–"),
        Span(words.number(one.active)),
        Span(words.many(count, "open alert"), "/alerts", "bad") if count else Span("none", tone="good"),
    )


def _fleet(found: admin.Overview) -> Terms:
    return Terms((
        ("enrolled", Span(words.number(found.clients), "/fleet")), ("active", Span(words.number(found.active))),
        ("counted", Span(words.time(found.counted_at))), ("last tick", Span(words.time(found.ticked_at))),
        ("dead letters", Span(words.number(found.dead_letters), tone="bad" if found.dead_letters else "")),
    ))  # fmt: skip
