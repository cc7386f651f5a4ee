"""Facts and tables, in which no word is ever broken, however narrow the terminal.

Whoever copies an id, a digest or a time gets the whole of it. Sentences are wrapped, at their spaces. A table that does not
fit shows its rows one below another, a line a cell; a word that is longer than a line goes on beyond its end, where a terminal
wraps it by itself and nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = 2
"""Columns between two cells."""
NARROWEST_SENTENCE = 20
"""Characters below which a sentence gets no narrower column: in a narrower one nobody reads it."""

NUMBERS = frozenset({
    "version", "base", "parent", "round", "accepted", "rejected", "late", "failed", "judges", "gain", "uses", "claimed",
    "rounds", "samples", "revision", "count", "mean", "min", "max", "sum", "last", "value", "minimum", "maximum", "number",
    "bytes", "wanted",
})  # fmt: skip
"""Columns that are set flush right."""

SENTENCES = frozenset({
    "alias", "arms", "because", "finding", "is", "label", "models", "note", "rule", "they come", "types", "was",
    "went past", "what", "what it is about, or what was seen", "why",
})  # fmt: skip
"""Columns whose cells are words in a row, and may be wrapped between them; of other cells a space is a part."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one pair a line."""

    pairs: Sequence[tuple[str, Text]]
    least_indent: int = 0
    """At which column the values begin at the least."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        indent = max([self.least_indent, *(len(name) + GAP for name, _ in self.pairs)])
        for name, value in self.pairs:
            lines = _wrapped(value, options.max_width - indent)
            for number, line in enumerate(lines):
                yield _line([Text(name if number == 0 else "", style="bold"), line], [indent - GAP, 0], ["left", "left"])


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of cells under their columns' names."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines: a table, where it fits; else a fact a line, and an empty line between two rows."""
        widths = self._widths(options.max_width)
        if widths is None:
            indent = max(map(len, self.columns)) + GAP
            for number, row in enumerate(self.rows):
                if number:
                    yield Text("")
                yield Facts(list(zip(self.columns, row, strict=True)), indent)
            return
        justified = ["right" if column in NUMBERS else "left" for column in self.columns]
        head = [Text(column, style="bold") for column in self.columns]
        for row in (head, *self.rows):
            cells = [
                _wrapped(cell, width) if row is head or column in SENTENCES else [cell]
                for column, cell, width in zip(self.columns, row, widths, strict=True)
            ]
            for line in zip_longest(*cells, fillvalue=Text("")):
                yield _line(line, widths, justified)

    def _widths(self, room: int) -> list[int] | None:
        """How wide each column becomes; None when they do not fit."""
        natural, least = [], []
        for number, column in enumerate(self.columns):
            cells = [row[number] for row in self.rows]
            whole = max((cell.cell_len for cell in cells), default=0)
            natural.append(max(whole, len(column)))
            held = max([min(whole, NARROWEST_SENTENCE), *map(_longest_word, cells)]) if column in SENTENCES else whole
            least.append(max(held, _longest_word(Text(column))))
        room -= GAP * (len(self.columns) - 1)
        if sum(natural) <= room:
            return natural
        if sum(least) > room:
            return None
        left, widths = room - sum(least), list(least)
        for number in sorted(range(len(least)), key=lambda number: natural[number] - least[number]):
            more = min(natural[number] - least[number], left)  # what needs little gets it, and the longest gets what is left
            widths[number] += more
            left -= more
        return widths


def _longest_word(text: Text) -> int:
    return max((Text(word).cell_len for word in text.plain.split()), default=0)


def _wrapped(text: Text, width: int) -> list[Text]:
    """The lines of a text, wrapped at its spaces; a word that is longer than a line has one that is longer. (Rich breaks such a
    word, or wraps nothing.)
    """
    width = max(width, NARROWEST_SENTENCE)
    made: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        begin = end = 0
        for word in re.finditer(r"\S+", line.plain):
            if line[begin : word.end()].cell_len > width and end > begin:
                made.append(line[begin:end])
                begin = word.start()
            end = word.end()
        made.append(line[begin:end])
    return made


def _line(cells: Sequence[Text], widths: Sequence[int], justified: Sequence[str]) -> Text:
    made = Text(no_wrap=True, overflow="ignore")
    for cell, width, side in zip(cells, widths, justified, strict=True):
        shown = cell.copy()
        shown.rstrip()
        padding = " " * (width - shown.cell_len)
        made.append_text(Text(padding) + shown if side == "right" else shown + Text(padding))
        made.append(" " * GAP)
    made.rstrip()
    return made
