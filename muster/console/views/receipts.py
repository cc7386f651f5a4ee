"""The receipts of a round: who had a place in it, and what became of that; page after page."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from pydantic import ValidationError

from muster.console import words
from muster.console.known import Known, Wish
from muster.console.views.blocks import (
    Block,
    DataTable,
    Section,
    Sentence,
    Span,
    View,
    Ways,
    plain,
    state,
    to_client,
    to_receipts,
    to_round,
    unknown,
)
from muster.wire import admin

STATES: tuple[str, ...] = get_args(admin.StateOfPlace)
FEW = 20
"""Receipts on the page of their round."""
ASKING = "Asking what became of the places."

Only = tuple[tuple[str, str], ...]
"""Which receipts: members of `admin.RoundReceiptsPage`."""


def chosen(state: str, reason: str, after: str) -> Only | None:
    """What an address asks for; None where no receipt can be so."""
    only = {name: value for name, value in (("state", state), ("reason", reason), ("after", after)) if value}
    try:
        admin.RoundReceiptsPage.model_validate(only)
    except ValidationError:
        return None
    return tuple(only.items())


def wishes(model: str, number: int, only: Only, known: Known) -> frozenset[Wish]:
    """This page of receipts."""
    return frozenset({_wish(model, number, only)})


def view(model: str, number: int, only: Only, known: Known, now: datetime) -> View:
    """The page."""
    wish = _wish(model, number, only)
    if (denied := known.denied(wish)) is not None:
        return unknown(f"Receipts of round {number} of {model}", denied)
    which = {name: value for name, value in only if name != "after"}
    shown = known.found(wish, admin.RoundReceiptList)
    blocks: list[Block] = [_states(model, number, which), _listing(model, number, shown)]
    if "reason" in which:
        blocks.insert(1, Sentence(f"Only those that ended for this reason: {which['reason']}."))
    if ways := tuple(_pages(model, number, only, shown)):
        blocks.append(Ways("Pages", ways))
    title = f"Receipts of round {number} of {model}"
    back = Span(f"round {number}", to_round(model, number).href)
    return View(title=title, sections=(Section("", tuple(blocks)),), back=back)


def _wish(model: str, number: int, only: Only = ()) -> Wish:
    return Wish("receipts", model, str(number), only=only)


def _states(model: str, number: int, which: dict[str, str]) -> Ways:
    """All of them, or those in one state; what is shown is no link."""
    ways = [Span("all") if not which else to_receipts(model, number, "all")]
    for name in STATES:
        is_shown = which == {"state": name}
        ways.append(Span(name) if is_shown else to_receipts(model, number, name, state=name))
    return Ways("Which receipts", tuple(ways))


def _pages(model: str, number: int, only: Only, shown: admin.RoundReceiptList | None) -> list[Span]:
    which = dict(only)
    ways = []
    if which.pop("after", None):
        ways.append(to_receipts(model, number, "← first page", **which))
    if shown is not None and shown.after is not None:
        ways.append(to_receipts(model, number, "next page →", **which, after=shown.after))
    return ways


def first(model: str, number: int, known: Known) -> Section:
    """The first receipts of a round, and the way to the others."""
    shown = known.found(_wish(model, number), admin.RoundReceiptList)
    some = shown.model_copy(update={"receipts": shown.receipts[:FEW]}) if shown else None
    ways = Ways("More receipts", (to_receipts(model, number, "all receipts"),))
    denied = known.denied(_wish(model, number))
    return Section("Receipts", (Sentence(denied, "bad"),) if denied else (_listing(model, number, some), ways))


def _listing(model: str, number: int, shown: admin.RoundReceiptList | None) -> DataTable:
    """Some receipts as a table."""
    return DataTable(
        caption=f"Places in round {number} of {model}, in no particular order; kept for 30 days after the round",
        columns=("client", "state", "reason", "examples", "bytes", "norm", "metrics", "reported", "expected, and got"),
        rows=tuple(_row(receipt) for receipt in shown.receipts) if shown else (),
        empty=ASKING if shown is None else _none(shown),
        numbers=frozenset({"examples", "bytes", "norm"}),
    )


def _none(shown: admin.RoundReceiptList) -> str:
    return "No such place." if shown.after is None else "No such place among those that were looked at; the next page goes on."


def _row(receipt: admin.RoundReceipt) -> tuple[Span, ...]:
    measured = ", ".join(f"{name} {words.number(value)}" for name, value in sorted(receipt.metrics.items()))
    return (
        to_client(receipt.client_id),
        state(receipt.state),
        *plain(
            receipt.reason or "–",
            words.number(receipt.examples),
            words.size(receipt.bytes) if receipt.bytes is not None else "–",
            words.number(receipt.norm),
            measured or "–",
            words.time(receipt.reported_at),
            _expected(receipt),
        ),
    )


def _expected(receipt: admin.RoundReceipt) -> str:
    if receipt.expected is None:
        return receipt.got or "–"
    return f"{receipt.expected}; got: {receipt.got}"
