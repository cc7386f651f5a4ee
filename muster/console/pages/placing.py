"""Puts a view on a page, and keeps it as it should be: what is the same stays, so that focus and place on the page stay too.

Texts come from devices and operators. They are set as texts and as values of attributes that are named here; the library takes
anything else (markup, the names of attributes) for code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from muster.console.views.blocks import Block, Chart, Choice, DataTable, Section, Sentence, Span, Terms, View, Ways

LONG = 26
"""Characters of a cell beyond which it may have several lines."""


def text(tag: str, said: str, classes: str = "") -> TextElement:
    """An HTML element that holds a text."""
    return TextElement(tag=tag, text=said).classes(classes)


class PlacedSpan:
    """Some words in an element of their own; a link within it, if they lead somewhere."""

    def __init__(self, tag: str) -> None:
        self._outer = text(tag, "")
        self._link: TextElement | None = None
        self._name = ""
        self._shown: tuple[Span, str] | None = None

    def named(self, name: str) -> None:
        """Say to the style what these words are, for where there is no room for a head above them."""
        if name != self._name:
            self._outer.props["data-name"] = name
            self._name = name

    def show(self, span: Span, classes: str = "") -> None:
        """Say this from now on."""
        if (span, classes) == self._shown:
            return
        tone = f"tone-{span.tone}" if span.tone else ""
        if span.href:
            self._lead(span, tone)
        elif self._link is not None:
            self._link.delete()
            self._link = None
        self._outer.text = "" if span.href else span.text
        self._outer.classes(replace=classes if span.href else f"{classes} {tone}".strip())
        self._shown = (span, classes)

    def _lead(self, span: Span, tone: str) -> None:
        if self._link is None:
            with self._outer:
                self._link = text("a", "")
        self._link.text = span.text
        self._link.props["href"] = span.href
        self._link.classes(replace=tone)


class PlacedSentence:
    """A paragraph."""

    def __init__(self) -> None:
        self._paragraph = text("p", "")

    def show(self, block: Sentence) -> None:
        """Say this from now on."""
        self._paragraph.text = block.text
        self._paragraph.classes(replace=f"said tone-{block.tone}" if block.tone else "said")


class PlacedTerms:
    """Names and what they are, as a list of terms."""

    def __init__(self) -> None:
        self._list = Element("dl").classes("facts")
        self._names: tuple[str, ...] = ()
        self._values: list[PlacedSpan] = []

    def show(self, block: Terms) -> None:
        """Say these from now on."""
        names = tuple(name for name, _ in block.pairs)
        if names != self._names:
            self._list.clear()
            self._values = []
            with self._list:
                for name in names:
                    with Element("div"):
                        text("dt", name)
                        self._values.append(PlacedSpan("dd"))
            self._names = names
        for placed, (_, value) in zip(self._values, block.pairs, strict=True):
            placed.show(value)


class PlacedTable:
    """A table, in a frame of its own that can be scrolled from the keyboard where it is wider than the page."""

    def __init__(self) -> None:
        self._frame = Element("div").classes("scroll")
        self._frame.props["tabindex"] = "0"
        self._frame.props["role"] = "region"
        self._columns: tuple[str, ...] | None = None
        self._rows: list[tuple[Element, list[PlacedSpan]]] = []

    def show(self, block: DataTable) -> None:
        """Show these rows from now on."""
        if block.columns != self._columns:
            self._draw_head(block)
        self._frame.props["aria-label"] = block.caption
        self._caption.text = block.caption
        self._empty.text = block.empty
        self._empty.set_visibility(not block.rows)
        while len(self._rows) > len(block.rows):
            self._rows.pop()[0].delete()
        with self._body:
            while len(self._rows) < len(block.rows):
                with Element("tr") as row:
                    self._rows.append((row, [PlacedSpan("td") for _ in block.columns]))
        for (_, cells), spans in zip(self._rows, block.rows, strict=True):
            for name, cell, span in zip(block.columns, cells, spans, strict=True):
                cell.named(name)
                cell.show(span, "number" if name in block.numbers else "long" if len(span.text) > LONG else "")

    def _draw_head(self, block: DataTable) -> None:
        self._frame.clear()
        self._rows, self._columns = [], block.columns
        with self._frame:
            with Element("table"):
                self._caption = text("caption", block.caption)
                with Element("thead"), Element("tr"):
                    for name in block.columns:
                        head = text("th", name, "number" if name in block.numbers else "")
                        head.props["scope"] = "col"
                self._body = Element("tbody")
            self._empty = text("p", block.empty, "empty")


class PlacedWays:
    """Links beside each other."""

    def __init__(self) -> None:
        self._navigation = Element("nav").classes("ways")
        self._ways: list[PlacedSpan] = []

    def show(self, block: Ways) -> None:
        """Show these from now on."""
        self._navigation.props["aria-label"] = block.label
        if len(self._ways) != len(block.spans):
            self._navigation.clear()
            with self._navigation:
                self._ways = [PlacedSpan("span") for _ in block.spans]
        for placed, span in zip(self._ways, block.spans, strict=True):
            placed.show(span, "" if span.href else "here")


class PlacedChart:
    """A picture, with its words."""

    def __init__(self) -> None:
        self._figure = Element("figure")
        self._shown: Chart | None = None
        with self._figure:
            self._chart = ui.echart({}, renderer="svg")
            self._chart.props["role"] = "img"
            self._words = text("figcaption", "")

    def show(self, block: Chart) -> None:
        """Show this from now on."""
        if block == self._shown:
            return
        self._chart.style(replace=f"height: {block.height}px")
        self._chart.props["aria-label"] = block.label
        self._words.text = block.label
        self._chart.options.clear()
        self._chart.options.update(block.options)
        self._chart.update()
        self._shown = block


PLACED: dict[type[Block], Callable[[], Any]] = {
    Sentence: PlacedSentence,
    Terms: PlacedTerms,
    DataTable: PlacedTable,
    Ways: PlacedWays,
    Chart: PlacedChart,
}


class PlacedView:
    """The sections of a page, and its buttons. What a button does is `chosen`."""

    def __init__(self, chosen: Callable[[Choice], object]) -> None:
        self._chosen = chosen
        self._choices: tuple[Choice, ...] | None = None
        self._buttons = Element("div").classes("choices")
        self._buttons.props["role"] = "group"
        self._buttons.props["aria-label"] = "What can be done"
        self._sections = Element("div").classes("sections")
        self.place = Element("div")
        """Where a dialog is put."""
        self._shape: list[tuple[str, list[type]]] | None = None
        self._placed: list[Any] = []

    def show(self, view: View) -> None:
        """Show this from now on."""
        if view.choices != self._choices:
            self._draw_buttons(view.choices)
        shape = [(section.heading, [type(block) for block in section.blocks]) for section in view.sections]
        if shape != self._shape:
            self._draw_sections(view.sections)
            self._shape = shape
        blocks = [block for section in view.sections for block in section.blocks]
        for placed, block in zip(self._placed, blocks, strict=True):
            placed.show(block)

    def _draw_buttons(self, choices: tuple[Choice, ...]) -> None:
        """A button stays while its words do, so that nobody clicks at one that is just being replaced."""
        before, self._choices = self._choices, choices
        if before is not None and _worded(before) == _worded(choices):
            return
        self._buttons.clear()
        self._buttons.set_visibility(bool(choices))
        with self._buttons:
            for at, choice in enumerate(choices):
                button = text("button", choice.label, "grave" if choice.is_grave else "")
                button.props["type"] = "button"
                button.on("click", lambda _, at=at: self._clicked(at), args=[])

    def _clicked(self, at: int) -> object:
        return self._chosen(self._choices[at]) if self._choices and at < len(self._choices) else None

    def _draw_sections(self, sections: tuple[Section, ...]) -> None:
        self._sections.clear()
        self._placed = []
        with self._sections:
            for section in sections:
                with Element("section"):
                    if section.heading:
                        text("h2", section.heading)
                    self._placed += [PLACED[type(block)]() for block in section.blocks]


def _worded(choices: tuple[Choice, ...]) -> list[tuple[str, bool]]:
    return [(choice.label, choice.is_grave) for choice in choices]
