"""Figures as PNG files (extra `[notebook]`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import frexp
from pathlib import Path
from typing import Annotated, Any

import typer

from muster.cli.figures import Bars, Curve
from muster.operator.extras import extra

Out = Annotated[Path | None, typer.Option(help="Write a PNG file instead.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]

INK, GRID = "#1d2733", "#e3e6ea"
CURVE = "#1f5fa8"
HATCHES = ("", "///", "...", "xxx")
"""Parts are told apart by more than their colour."""
BAR_INCHES, AROUND_INCHES = 0.3, 1.1
"""The height of one bar, and of what is around bars: title, axis, legend."""
MOST_DOTS = 100
"""Of a curve: with more points it is a line only."""
LARGEST = 2.0**300
"""Beyond it numbers are drawn as multiples of a power of ten: what draws them squares them, and a float has an end."""


def png(path: Path, *figures: Curve | Bars) -> None:
    """Write figures, one below another, on white.

    Raises:
        NotInstalled: matplotlib is not here.
        OSError: the file cannot be written.
    """
    paper = extra("matplotlib.figure", "a picture needs")
    heights = [4.0 if isinstance(one, Curve) else AROUND_INCHES + BAR_INCHES * max(len(one.bars), 2) for one in figures]
    figure = paper.Figure(figsize=(8, sum(heights)), dpi=160, layout="constrained", facecolor="white")
    axes = figure.subplots(len(figures), squeeze=False, height_ratios=heights)[:, 0]
    for one, place in zip(figures, axes, strict=True):
        place.spines[["top", "right"]].set_visible(False)
        place.set_axisbelow(True)
        if isinstance(one, Curve):
            _curve(one, place)
        else:
            _bars(one, place)
    figure.savefig(path, format="png")


def checked(path: Path | None, force: bool) -> Path | None:
    """A file that may be written as a PNG.

    Raises:
        typer.BadParameter: it has another suffix.
        FileExistsError: it is there, and nobody said that it shall be overwritten.
    """
    if path is not None and path.suffix != ".png":
        raise typer.BadParameter(f"{path} does not end in .png, and a PNG is what is written", param_hint="--out")
    if path is not None and path.exists() and not force:
        raise FileExistsError(f"{path} exists; --force overwrites it")
    return path


def _curve(curve: Curve, axes: Any) -> None:
    dates = extra("matplotlib.dates", "a picture needs")
    values, power = scaled([value for _, value in curve.points])
    axes.set_title(curve.title, loc="left", color=INK, parse_math=False)
    axes.plot(
        [at for at, _ in curve.points], values, color=CURVE, linewidth=2, marker="o" if len(values) <= MOST_DOTS else "",
        markersize=4,
    )  # fmt: skip
    axes.set_ylabel(f"{curve.name} (× 10^{power})" if power else curve.name, parse_math=False)
    axes.grid(visible=True, axis="y", color=GRID)
    if curve.points:
        if curve.points[0][0] == curve.points[-1][0]:
            axes.set_xlim(*(curve.points[0][0] + timedelta(minutes=minutes) for minutes in (-5, 5)))
        locator = dates.AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        axes.set_xlabel("UTC")
        return
    axes.set_xticks([])
    axes.set_yticks([])


def _bars(bars: Bars, axes: Any) -> None:
    ticker = extra("matplotlib.ticker", "a picture needs")
    rows, ends = range(len(bars.bars)), [0.0] * len(bars.bars)
    longest = max((sum(bar.parts) for bar in bars.bars), default=0.0)
    unit, length = ("minutes", 60.0) if bars.unit == "seconds" and longest >= 300.0 else (bars.unit, 1.0)
    for number, part in enumerate(bars.parts):
        widths = [bar.parts[number] / length for bar in bars.bars]
        axes.barh(
            rows, widths, left=ends, height=0.7, color=part.colour, hatch=HATCHES[number], edgecolor="white", linewidth=0.5,
            label=part.name,
        )  # fmt: skip
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for row, end, bar in zip(rows, ends, bars.bars, strict=True):
        axes.annotate(bar.said, (end, row), (6, 0), textcoords="offset points", va="center", fontsize=8, parse_math=False)
    axes.set_title(f"{bars.title}, in {unit}" if unit else bars.title, loc="left", color=INK, parse_math=False)
    axes.set_yticks(rows, [bar.label for bar in bars.bars], parse_math=False)
    axes.set_ylabel("round")
    least = max(0.0, (2 - len(rows)) / 2)  # of one bar there is no more than of two
    axes.set_ylim(len(rows) - 0.5 + least, -0.5 - least)
    axes.set_xlim(0, 1.5 * max(ends, default=0.0) or 1.0)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=8))
    axes.grid(visible=True, axis="x", color=GRID)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=2.5, ncols=4, frameon=False, fontsize=9)


def scaled(values: Sequence[float]) -> tuple[list[float], int]:
    """Values that can be drawn, and the power of ten by which they must be multiplied to be what they were."""
    largest = max(map(abs, values), default=0.0)
    if not largest or 1.0 / LARGEST < largest < LARGEST:
        return [*values], 0
    power = int(frexp(largest)[1] * 0.30103)
    half = power // 2  # 10**power itself may be out of a float's range
    return [value / 10.0**half / 10.0 ** (power - half) for value in values], power
