"""What a page is made of: values that are compared, and drawn only where they differ.

View ─▶ Section ─▶ Sentence | Terms | DataTable | Ways | Chart ─▶ Span
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

from muster.console.intents import Intent

Tone = Literal["", "good", "bad", "busy", "quiet"]
"""How a text is meant. Colours follow it; the text says the same without them."""

TONES: Mapping[str, Tone] = {
    "deployed": "good", "running": "good", "completed": "good", "active": "good", "alive": "good", "better": "good",
    "training": "busy", "collecting": "busy", "aggregating": "busy", "evaluating": "busy", "rolling-out": "busy",
    "on-trial": "busy", "staged": "busy", "acknowledged": "busy",
    "accepted": "good", "reported": "busy", "assigned": "busy", "late": "quiet", "rejected": "bad", "failed": "bad",
    "measured": "good", "withdrawn": "bad",
    "rolled-back": "bad", "abandoned": "bad", "revoked": "bad", "open": "bad", "unreadable": "bad", "worse": "bad",
    "cleared": "quiet", "stopped": "quiet", "retired": "quiet", "silent": "quiet",
    "critical": "bad", "warning": "busy", "info": "quiet",
}  # fmt: skip
"""Of states, by their word."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some words, perhaps with a way to another page of the console."""

    text: str
    href: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a person would say."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """Names and what they are."""

    pairs: tuple[tuple[str, Span], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """A table. `caption` is read to whom does not see it; `empty` is said when it has no row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Span, ...], ...]
    empty: str
    numbers: frozenset[str] = frozenset()
    """Columns that are set flush right."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Links beside each other. `label` says what they choose; one without an address is where one is."""

    label: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture that the library draws (options of Apache ECharts). `label` says what is in it, in words."""

    label: str
    options: Mapping[str, Any]
    height: int = 210


Block = Sentence | Terms | DataTable | Ways | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A button: something that can be done now."""

    label: str
    intent: Intent
    is_grave: bool = False
    """Whether it changes what devices are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page."""

    title: str
    sections: tuple[Section, ...]
    choices: tuple[Choice, ...] = ()
    back: Span | None = None
    """The page above this one."""


def state(word: str) -> Span:
    """A state, in its tone."""
    return Span(word, tone=TONES.get(word, ""))


def plain(*words: str) -> tuple[Span, ...]:
    """Several texts, each as it is."""
    return tuple(map(Span, words))


def to_model(model: str, tone: Tone = "") -> Span:
    """A model's name, with the way to its page."""
    return Span(model, f"/models/{quote(model, safe='')}", tone)


def to_rounds(model: str) -> Span:
    """The way to a model's rounds."""
    return Span("all rounds", f"/models/{quote(model, safe='')}/rounds")


def to_round(model: str, number: int) -> Span:
    """A round's number, with the way to its page."""
    return Span(str(number), f"/models/{quote(model, safe='')}/rounds/{number}")


def to_version(model: str, number: int) -> Span:
    """A version's number, with the way to its page."""
    return Span(str(number), f"/models/{quote(model, safe='')}/versions/{number}")


def to_receipts(model: str, number: int, text: str = "receipts", **only: str) -> Span:
    """The way to a round's receipts, or to some of them."""
    query = f"?{urlencode(only)}" if only else ""
    return Span(text, f"{to_round(model, number).href}/receipts{query}")


def to_judges(model: str, number: int, text: str = "judges", **only: str) -> Span:
    """The way to who judged a round's version."""
    query = f"?{urlencode(only)}" if only else ""
    return Span(text, f"{to_round(model, number).href}/judges{query}")


def to_cost(model: str) -> Span:
    """The way to what a model costs."""
    return Span("cost", f"/models/{quote(model, safe='')}/cost")


def to_client(client_id: str) -> Span:
    """A client's id, with the way to its page."""
    return Span(client_id, f"/fleet/{quote(client_id, safe='')}")


def unknown(title: str, known_refusal: str | None) -> View:
    """A page of which nothing is known yet, or of what there is not."""
    said = Sentence(known_refusal, "bad") if known_refusal else Sentence("Nothing is known of it yet.", "quiet")
    return View(title=title, sections=(Section("", (said,)),), back=Span("Overview", "/"))
