"""What is drawn, as values, and how a terminal shows it. `pictures` makes PNGs of the same values.

A terminal may be narrow, without colours, or no terminal at all: parts are told apart by their shading too, and whatever a
figure shows is also said in words. Numbers may be any that a float can hold: a figure is drawn from fractions, which are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from muster.cli.render import duration
from muster.operator.extras import extra
from muster.wire import admin
from muster.wire.admin.rounds import phases

WIDEST, NARROWEST = 100, 20
"""Columns of a figure, whatever the terminal has."""
LINES = 11
"""Of a curve."""
SHADES = "█▓▒░"
"""Of the parts of bars, in their order: what tells them apart without colours."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A number over time, in the order of the times."""

    title: str
    name: str
    points: Sequence[tuple[datetime, float]]

    @classmethod
    def of(cls, found: admin.MetricReply) -> Curve:
        """A metric's recorded points."""
        points = sorted((point.at, point.value) for point in found.points)
        span = _many(found.hours, "hour")
        return cls(f"{found.name} of {found.model}, last {span}: {_many(len(points), 'point')}", found.name, points)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines."""
        yield Text(self.title)
        if not self.points:
            return
        times, values = zip(*self.points, strict=True)
        low, high = min(values), max(values)
        labels = [""] * LINES
        labels[0], labels[-1] = (f"{high:.4g}", f"{low:.4g}") if low != high else ("", "")
        labels[LINES // 2] = f"{low:.4g}" if low == high else ""
        indent = max(map(len, labels))
        width = max(min(options.max_width, WIDEST) - indent - 2, NARROWEST)
        drawn = _dots(positions([at.timestamp() for at in times]), positions(values), width)
        for label, line in zip(labels, drawn, strict=True):
            yield _line(f"{label:>{indent}} ┤{line}" if label else f"{'':>{indent}} │{line}")
        yield _line(" " * (indent + 1) + "└" + "─" * width)
        first, last = (_instant(at, times[-1] - times[0]) for at in (times[0], times[-1]))
        gap = " " * max(width - len(first) - len(last), 1)
        yield _line(" " * (indent + 2) + (first if first == last else first + gap + last))


@dataclass(frozen=True, slots=True)
class BarPart:
    """A part of bars: its name, and its colours in a terminal and in a picture."""

    name: str
    style: str
    colour: str


PHASES = (BarPart("collecting", "blue", "#1f5fa8"), BarPart("adding up and judging", "cyan", "#8ab4dc"))
FATES = (
    BarPart("accepted", "green", "#2f8f5b"), BarPart("rejected", "red", "#b3382c"), BarPart("late", "yellow", "#d99a1c"),
    BarPart("failed", "magenta", "#8a5aa8"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: what it is of, its parts, and what they come to, in words."""

    label: str
    parts: Sequence[float]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Rows of parts. No part is below zero."""

    title: str
    unit: str
    """Of the parts; of counts none."""
    parts: Sequence[BarPart]
    bars: Sequence[Bar]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines: a bar and its words in one, where there is room; else one below the other."""
        yield Text(self.title)
        if not self.bars:
            return
        yield Text("  ").join(
            Text(f"{shade} {part.name}", style=part.style) for shade, part in zip(SHADES, self.parts, strict=False)
        )
        width = max(min(options.max_width, WIDEST), NARROWEST)
        label, said = (max(map(len, texts)) for texts in zip(*((bar.label, bar.said) for bar in self.bars), strict=True))
        room = width - label - said - 4
        longest = max(sum(map(Fraction, bar.parts), Fraction(0)) for bar in self.bars)
        for bar in self.bars:
            if room >= NARROWEST:
                drawn = self._shaded(bar, longest, room)
                yield _line(f"{bar.label:>{label}}  ", drawn, " " * (room - drawn.cell_len), f"  {bar.said}")
            else:
                yield Text(f"{bar.label}  {bar.said}")
                yield _line(self._shaded(bar, longest, width))

    def _shaded(self, bar: Bar, longest: Fraction, width: int) -> Text:
        """A bar of which the longest is `width` long. Ends are rounded, not parts, so that a bar is as long as its sum."""
        made, end, total = Text(), 0, Fraction(0)
        for value, shade, part in zip(bar.parts, SHADES, self.parts, strict=False):
            total += Fraction(value)
            begin, end = end, round(total / longest * width) if longest else 0
            made.append(shade * (end - begin), part.style)
        return made


def time_line(model: str, rounds: Sequence[admin.RoundReply], now: datetime) -> Bars:
    """How long the phases of rounds took, so far if they go on; newest first. Unreadable rounds have none."""
    shown = [rnd for rnd in rounds if rnd.opened_at is not None]
    bars = []
    for rnd in shown:
        collecting, rest = phases(rnd, now)
        said = f"{duration(collecting)} + {duration(rest)}{'' if rnd.finished_at else ' so far'}"
        bars.append(Bar(str(rnd.number), (collecting, rest), said))
    title = f"{_rounds(model, shown)}: how long the phases took"
    return Bars(title=title, unit="seconds", parts=PHASES, bars=bars)


def places(model: str, rounds: Sequence[admin.RoundReply]) -> Bars:
    """What became of the updates of rounds; newest first."""
    shown = [rnd for rnd in rounds if rnd.opened_at is not None]
    bars = []
    for rnd in shown:
        counts = (rnd.accepted, sum(rnd.rejected.values()), rnd.late, sum(rnd.failed.values()))
        told = [f"{count:,} {fate.name}" for fate, count in zip(FATES, counts, strict=True) if count or fate is FATES[0]]
        said = ", ".join(told)
        bars.append(Bar(str(rnd.number), counts, said))
    return Bars(title=f"{_rounds(model, shown)}: what became of updates", unit="", parts=FATES, bars=bars)


def _rounds(model: str, rounds: Sequence[admin.RoundReply]) -> str:
    if len(rounds) == 1:
        return f"round {rounds[0].number} of {model}"
    return f"{_many(len(rounds), 'round')} of {model}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def positions(values: Sequence[float]) -> list[float]:
    """Where values lie between the smallest and the largest, from 0 to 1; in the middle, when all are equal."""
    low, high = Fraction(min(values)), Fraction(max(values))
    if low == high:
        return [0.5] * len(values)
    return [float((Fraction(value) - low) / (high - low)) for value in values]


def _dots(xs: Sequence[float], ys: Sequence[float], width: int) -> list[str]:
    """Lines of braille, each `width` long, with a line from point to point; positions are from 0 to 1."""
    plotille = extra("plotille", "a curve in the terminal needs")
    canvas = plotille.Canvas(width, LINES)
    canvas.point(xs[0], ys[0])
    for (x, y), (to_x, to_y) in pairwise(zip(xs, ys, strict=True)):
        canvas.line(x, y, to_x, to_y)
    return [str(line) for line in canvas.plot().splitlines()]


def _instant(at: datetime, span: timedelta) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d" if span > timedelta(days=3) else "%m-%d %H:%M")


def _line(*pieces: str | Text) -> Text:
    made = Text(no_wrap=True, overflow="ignore")
    for piece in pieces:
        made.append_text(Text(piece) if isinstance(piece, str) else piece)
    made.rstrip()
    return made
