"""A model's rounds, and one of them in depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

from muster.console import words
from muster.console.intents import Intent
from muster.console.known import Known, Wish
from muster.console.views import charts, judges, receipts
from muster.console.views.blocks import (
    Block,
    Chart,
    Choice,
    DataTable,
    Section,
    Sentence,
    Span,
    Terms,
    View,
    plain,
    state,
    to_model,
    to_receipts,
    to_round,
    to_rounds,
    unknown,
)
from muster.pricing.writing import written
from muster.wire import admin
from muster.wire.admin.rounds import phases
from muster.wire.failures import FAILURES, FailureReason
from muster.wire.reasons import ABOUT, Reason

PICTURED = 16
"""Rounds in the pictures: the newest."""
ASKING = "Asking which rounds there were."
SHOWN = 40
"""Rows of the list."""


def wishes(model: str, known: Known) -> frozenset[Wish]:
    """How the model stands, and its rounds."""
    return frozenset({Wish("status", model), *({Wish("rounds", model)} if known.status(model) else ())})


def view(model: str, known: Known, now: datetime) -> View:
    """The page."""
    status = known.status(model)
    if status is None:
        return unknown(f"Rounds of {model}", known.denied(Wish("status", model)))
    if Wish("rounds", model) not in known.learnt:
        return View(title=f"Rounds of {model}", sections=(Section("", (Sentence(ASKING, "quiet"),)),), back=to_model(model))
    rounds = _with_newest(known.rounds(model), status.round)
    pictures: tuple[Block, ...] = ()
    if readable := [rnd for rnd in rounds if rnd.opened_at is not None]:
        pictures = (_timeline(model, readable[:PICTURED], now), _places(model, readable[:PICTURED]))
    sections = (Section("Phases and places", pictures),) if pictures else ()
    back = to_model(model)
    return View(title=f"Rounds of {model}", sections=(*sections, Section("All of them", (_listing(model, rounds),))), back=back)


def _with_newest(rounds: list[admin.RoundReply], newest: admin.RoundReply | None) -> list[admin.RoundReply]:
    """The rounds, of which the newest is told more often than the others."""
    if newest is None:
        return rounds
    return [newest, *(rnd for rnd in rounds if rnd.number < newest.number)]


def _timeline(model: str, rounds: list[admin.RoundReply], now: datetime) -> Chart:
    spans = [phases(rnd, now) for rnd in rounds]
    longest = max(sum(span) for span in spans)
    unit, length = ("minutes", 60.0) if longest >= 300 else ("seconds", 1.0)
    series = {
        "collecting": [round(collecting / length, 1) for collecting, _ in spans],
        "adding up and judging": [round(rest / length, 1) for _, rest in spans],
    }
    many = f"s of {model}'s rounds took, in {unit}; the newest round is on top" if len(rounds) > 1 else f"s took, in {unit}"
    label = f"How long the phase{many}. Round {rounds[0].number}: "
    label += f"{words.duration(spans[0][0])} collecting, {words.duration(spans[0][1])} after that."
    names = [f"{rnd.number} {'' if rnd.finished_at else '…'}".strip() for rnd in rounds]
    return charts.stacks(label, names, series, unit=unit, sideways=True)


def _places(model: str, rounds: list[admin.RoundReply]) -> Chart:
    shown = rounds[::-1]
    series = {
        "accepted": [rnd.accepted for rnd in shown],
        "rejected": [sum(rnd.rejected.values()) for rnd in shown],
        "late": [rnd.late for rnd in shown],
        "failed": [sum(rnd.failed.values()) for rnd in shown],
    }
    used = {name: values for name, values in series.items() if any(values) or name == "accepted"}
    sums = ", ".join(f"{words.number(sum(values))} {name}" for name, values in used.items())
    label = f"What became of updates, by round of {model}: {sums} in the last {words.many(len(shown), 'round')}."
    return charts.stacks(label, [str(rnd.number) for rnd in shown], used)


def _listing(model: str, rounds: list[admin.RoundReply]) -> DataTable:
    return DataTable(
        caption=f"Rounds of {model}, newest first",
        columns=("round", "phase", "accepted", "rejected", "late", "failed", "bytes", "version", "gain", "opened", "why"),
        rows=tuple(
            (
                to_round(model, rnd.number),
                state(rnd.phase),
                *plain(
                    words.number(rnd.accepted),
                    _by_reason(rnd.rejected),
                    words.number(rnd.late),
                    words.number(sum(rnd.failed.values())),
                    words.size(rnd.uploaded_bytes),
                    words.number(rnd.version),
                    words.gain(rnd.gain, rnd.metric),
                    words.time(rnd.opened_at),
                    rnd.reason or "",
                ),
            )
            for rnd in rounds[:SHOWN]
        ),
        empty="No round was opened yet.",
        numbers=frozenset({"round", "accepted", "late", "failed", "bytes", "version", "gain"}),
    )


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "0"


# ---- one round


def wishes_of_one(model: str, number: int, known: Known) -> frozenset[Wish]:
    """The round, its first receipts and judges, and what its model's configuration says."""
    asked = {Wish("status", model), Wish("round", model, str(number)), *receipts.wishes(model, number, (), known)}
    return frozenset(asked | (judges.wishes(model, number, "", known) if _is_judged(model, number, known) else frozenset()))


def _is_judged(model: str, number: int, known: Known) -> bool:
    """Whether it has a version that somebody may have judged."""
    rnd = known.found(Wish("round", model, str(number)), admin.RoundReply)
    return rnd is not None and rnd.version is not None


def view_of_one(model: str, number: int, known: Known, now: datetime) -> View:
    """The page of one round."""
    wish = Wish("round", model, str(number))
    rnd, status = known.found(wish, admin.RoundReply), known.status(model)
    if rnd is None:
        return unknown(f"Round {number} of {model}", known.denied(wish))
    sections = [Section("Now" if rnd.finished_at is None else "What became of it", tuple(_story(rnd, status, now)))]
    if rnd.opened_at is not None:
        sections.append(Section("Phases", (_timeline(model, [rnd], now),)))
    sections.append(Section("Updates", (_facts(model, rnd),)))
    sections += [
        Section(heading, (_reasons(caption, said, counts, partial(_to_places, model, rnd, of)),))
        for heading, caption, said, counts, of in (
            ("Rejected", "Updates that were rejected, by reason", ABOUT, rnd.rejected, "rejected"),
            ("Given up", "Trainings that devices gave up, by reason", FAILURES, rnd.failed, "failed"),
            ("Not judged", "Judgements that devices gave up, by reason", FAILURES, rnd.judges_failed, ""),
        )
        if counts
    ]
    sections.append(receipts.first(model, number, known))
    sections += [judges.first(model, number, known)] if _is_judged(model, number, known) else []
    abandon = Choice("Abandon the round", Intent(kind="abandon-round", model=model, round=number), is_grave=True)
    return View(
        title=f"Round {number} of {model}",
        sections=tuple(sections),
        choices=() if rnd.finished_at else (abandon,),
        back=to_rounds(model),
    )


def _story(rnd: admin.RoundReply, status: admin.ModelStatus | None, now: datetime) -> Iterator[Sentence]:
    goal = f" of {status.config.goal}" if status is not None and rnd.finished_at is None else ""
    said = f"It is {rnd.phase}; {rnd.accepted}{goal} updates were accepted."
    if rnd.finished_at is None and rnd.report_by is not None and rnd.phase == "collecting":
        left = rnd.report_by - now
        said += f" It closes in {words.duration(round(left.total_seconds()))} at the latest." if left > timedelta(0) else ""
    if rnd.version is not None:
        given = "was deployed" if rnd.deployed else "was not deployed"
        judged = f", with a gain of {words.gain(rnd.gain, rnd.metric)}" if rnd.gain is not None else ""
        said += f" It made version {rnd.version}{judged}" + (f", which {given}." if rnd.finished_at else ".")
    yield Sentence(said)
    for more in (rnd.reason, rnd.lacks):
        if more:
            yield Sentence(f"{more[0].upper()}{more[1:]}.")


def _facts(model: str, rnd: admin.RoundReply) -> Terms:
    def places(many: int, state: str) -> Span:
        return to_receipts(model, rnd.number, words.number(many), state=state) if many else Span("0")

    return Terms((
        ("phase", state(rnd.phase)),
        *((name, value if isinstance(value, Span) else Span(value)) for name, value in (
            ("base", f"version {rnd.base_version}" if rnd.base_version is not None else "–"),
            ("opened", words.time(rnd.opened_at)), ("report by", words.time(rnd.report_by)),
            ("closed", words.time(rnd.closed_at)), ("finished", words.time(rnd.finished_at)),
            ("places at work", places(rnd.assigned, "assigned")), ("awaiting inspection", places(rnd.reported, "reported")),
            ("accepted", places(rnd.accepted, "accepted")), ("rejected", places(sum(rnd.rejected.values()), "rejected")),
            ("late", places(rnd.late, "late")), ("given up", places(sum(rnd.failed.values()), "failed")),
            ("examples", words.number(rnd.examples)), ("uploaded", words.size(rnd.uploaded_bytes)),
            ("judges", words.number(rnd.evaluations)), ("gain", words.gain(rnd.gain, rnd.metric)),
            ("cost so far" if rnd.finished_at is None else "cost", written(rnd.spent.dollars) if rnd.spent else "–"),
            ("configuration", f"revision {rnd.config_revision}" if rnd.config_revision is not None else "–"),
        )),
    ))  # fmt: skip


def _to_places(model: str, rnd: admin.RoundReply, state: str, reason: str) -> Span:
    """A reason, with the way to the places that ended for it; without one where there are no receipts that say so."""
    if not state or receipts.chosen(state, reason, "") is None:
        return Span(reason)
    return to_receipts(model, rnd.number, reason, state=state, reason=reason)


def _reasons(
    caption: str,
    said: Mapping[Reason, str] | Mapping[FailureReason, str],
    counts: Mapping[str, int],
    way: Callable[[str], Span],
) -> DataTable:
    known = {str(reason): about.replace("`", "") for reason, about in said.items()}
    return DataTable(
        caption=caption,
        columns=("reason", "count", "it means"),
        rows=tuple(
            (way(reason), *plain(words.number(count), known.get(reason, "–")))
            for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        ),
        empty="None.",
        numbers=frozenset({"count"}),
    )
