"""Who judged a round's version, and what each of them measured; page after page."""

from __future__ import annotations

from datetime import datetime

from muster.console import words
from muster.console.known import Known, Wish
from muster.console.views.blocks import (
    Block,
    DataTable,
    Section,
    Sentence,
    Span,
    Tone,
    View,
    Ways,
    plain,
    state,
    to_client,
    to_judges,
    to_round,
    unknown,
)
from muster.wire import admin

FEW = 20
"""Judges on the page of their round."""
ASKING = "Asking who judges."


def wishes(model: str, number: int, after: str, known: Known) -> frozenset[Wish]:
    """This page of judges."""
    return frozenset({_wish(model, number, after)})


def view(model: str, number: int, after: str, known: Known, now: datetime) -> View:
    """The page."""
    title, wish = f"Judges of round {number} of {model}", _wish(model, number, after)
    if (denied := known.denied(wish)) is not None:
        return unknown(title, denied)
    shown = known.found(wish, admin.RoundJudgementList)
    ways = [to_judges(model, number, "← first page")] if after else []
    if shown is not None and shown.after is not None:
        ways.append(to_judges(model, number, "next page →", after=shown.after))
    blocks: list[Block] = [_listing(model, number, shown)]
    if ways:
        blocks.append(Ways("Pages", tuple(ways)))
    return View(title=title, sections=(Section("", tuple(blocks)),), back=Span(f"round {number}", to_round(model, number).href))


def first(model: str, number: int, known: Known) -> Section:
    """The first judges of a round, and the way to the others."""
    wish = _wish(model, number, "")
    if (denied := known.denied(wish)) is not None:
        return Section("Judges", (Sentence(denied, "bad"),))
    shown = known.found(wish, admin.RoundJudgementList)
    some = shown.model_copy(update={"judgements": shown.judgements[:FEW]}) if shown else None
    return Section("Judges", (_listing(model, number, some), Ways("More judges", (to_judges(model, number, "all judges"),))))


def _wish(model: str, number: int, after: str) -> Wish:
    return Wish("judges", model, str(number), only=(("after", after),) if after else ())


def _listing(model: str, number: int, shown: admin.RoundJudgementList | None) -> DataTable:
    return DataTable(
        caption=f"Judges in round {number} of {model}, in no particular order; a gain is in units of the metric that decides",
        columns=("client", "state", "gain", "candidate", "deployed", "examples", "reason"),
        rows=tuple(_row(judgement) for judgement in shown.judgements) if shown else (),
        empty=ASKING if shown is None else "Nobody was asked to judge.",
        numbers=frozenset({"gain", "examples"}),
    )


def _row(judgement: admin.RoundJudgement) -> tuple[Span, ...]:
    measured = judgement.candidate or judgement.deployed
    return (
        to_client(judgement.client_id),
        state(judgement.state),
        Span(f"{judgement.gain:+.4g}", tone=_tone(judgement.gain)) if judgement.gain is not None else Span("–"),
        *plain(
            _measured(judgement.candidate),
            _measured(judgement.deployed),
            words.number(measured.examples) if measured else "–",
            " ".join(filter(None, (judgement.reason, judgement.error))) or "–",
        ),
    )


def _tone(gain: float) -> Tone:
    return "good" if gain > 0 else "bad" if gain < 0 else ""


def _measured(found: admin.RoundMeasurement | None) -> str:
    if found is None:
        return "–"
    told = ", ".join(f"{name} {words.number(value)}" for name, value in sorted(found.metrics.items()))
    return told or "–" if found.is_finite else "nothing finite"
