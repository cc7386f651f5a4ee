"""One version: where it came from, what was measured of it, and what may be done with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from muster.console import words
from muster.console.intents import Intent
from muster.console.known import Known, Wish
from muster.console.views.blocks import (
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
    to_round,
    to_version,
    unknown,
)
from muster.wire import admin
from muster.wire.tracing import trace_of

DELETED = "Its checkpoint was deleted, because nothing kept it any more; what is written here is what is left of it."


def wishes(model: str, number: int, known: Known) -> frozenset[Wish]:
    """The version, and what is given to clients now."""
    return frozenset({Wish("version", model, str(number)), Wish("status", model)})


def view(model: str, number: int, known: Known, now: datetime) -> View:
    """The page."""
    wish = Wish("version", model, str(number))
    version, status = known.found(wish, admin.VersionReply), known.status(model)
    if version is None:
        return unknown(f"Version {number} of {model}", known.denied(wish))
    sections = [
        Section("Now", (Sentence(_story(version, status)), _facts(model, version))),
        Section("What was measured of it", (_measured(version),)),
        *([Section("Traces", (_traces(version),))] if version.traces else []),
    ]
    choices = tuple(_choices(model, version, status)) if status else ()
    return View(title=f"Version {number} of {model}", sections=tuple(sections), choices=choices, back=to_model(model))


def _story(version: admin.VersionReply, status: admin.ModelStatus | None) -> str:
    if version.deleted_at is not None:
        return DELETED
    rollout = status.rollout if status else None
    if status is not None and status.deployed_version == version.version:
        others = f" but {words.percent(rollout.percent)}, who get version {rollout.candidate}" if rollout else ""
        return f"It is what clients are given: all{others}."
    if rollout is not None and rollout.candidate == version.version:
        return f"It is being rolled out: {words.percent(rollout.percent)} of the clients are given it."
    return f"It is {version.state}."


def _facts(model: str, version: admin.VersionReply) -> Terms:
    judged = version.judged
    return Terms((
        ("state", state(version.state)),
        ("names", Span(", ".join(version.aliases) or "–")),
        ("made", Span(words.time(version.created_at))),
        ("by", Span(f"round {version.round}", to_round(model, version.round).href) if version.round is not None
         else Span("an operator")),
        *((name, Span(f"version {number}", to_version(model, number).href) if number is not None else Span("–"))
          for name, number in (("made from", version.base), ("deployed then", version.parent))),
        ("gain", Span(words.gain(judged.gain, version.config.metric) if judged else "–")),
        ("judges", Span(f"{judged.judges}: {judged.better} found it better, {judged.worse} worse" if judged else "–")),
        ("kept", Span("whatever else happens", tone="good") if version.pinned
         else Span(f"deleted on {words.time(version.deleted_at)}", tone="bad") if version.deleted_at
         else Span(f"until {words.time(version.expires_at)}", tone="busy") if version.expires_at
         else Span("as long as something needs it")),
        ("checkpoint", Span(f"{words.size(version.checkpoint.bytes)}, SHA-256 {version.checkpoint.sha256}")),
        ("document", Span(f"SHA-256 {version.document_sha256}")),
        ("note", Span(version.note or "–")),
    ))  # fmt: skip


def _measured(version: admin.VersionReply) -> DataTable:
    judged = version.evaluation or {}
    rows = [*((name, "by its round's trainers" if version.round else "by who registered it", value)
              for name, value in sorted(version.metrics.items())),
            *((name, "by its round's judges", value) for name, value in sorted(judged.items()))]  # fmt: skip
    return DataTable(
        caption="Each number is of those who measured it then; numbers of two versions were measured by others",
        columns=("metric", "measured", "value"),
        rows=tuple(plain(name, by, words.number(value)) for name, by, value in rows),
        empty="Nothing was measured of it.",
        numbers=frozenset({"value"}),
    )


def _traces(version: admin.VersionReply) -> DataTable:
    return DataTable(
        caption="Traces of devices whose updates it is made of",
        columns=("trace", "traceparent"),
        rows=tuple(plain(trace_of(parent), parent) for parent in version.traces),
        empty="None.",
    )


def _choices(model: str, version: admin.VersionReply, status: admin.ModelStatus) -> Iterator[Choice]:
    if version.deleted_at is not None:
        return
    number = version.version
    if status.deployed_version != number or status.rollout is not None:
        yield Choice("Deploy the version", Intent(kind="deploy", model=model, version=number), is_grave=True)
    if status.deployed_version != number and status.rollout is None:
        yield Choice("Begin a rollout", Intent(kind="begin-rollout", model=model, version=number), is_grave=True)
    if version.pinned:
        yield Choice("Keep the version no longer", Intent(kind="release-version", model=model, version=number))
    else:
        yield Choice("Keep the version", Intent(kind="keep-version", model=model, version=number))
