"""The picture: requests a second over a day, as usual and with troubles, below the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.fleet.reports import by_minute

COLOURS = ("#9aa3ad", "#1f5fa8", "#d08a1d")
CEILING, EVENT = "#c2371a", "#eceff2"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLine:
    """One day's requests, by the second."""

    rhythm: str
    course: str
    requests: NDArray[np.int64]


def draw(lines: Sequence[DayLine], outage: tuple[float, float], burst: tuple[float, float], ceiling: float, path: Path) -> None:
    """Write the figure as a PNG: a panel for each rhythm."""
    rhythms = list(dict.fromkeys(line.rhythm for line in lines))
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=(10, 6.8), dpi=96, layout="constrained")
        panels = figure.subplots(len(rhythms), 1, sharex=True, squeeze=False)[:, 0]
        for axes, rhythm in zip(panels, rhythms, strict=True):
            _panel(axes, [line for line in lines if line.rhythm == rhythm], ceiling)
            axes.set_title(f"Rounds of 10,000 {rhythm}", loc="left")
            for (since, until), name in ((outage, "outage"), (burst, "new devices")):
                axes.axvspan(since / 3600, until / 3600, color=EVENT, zorder=0)
                axes.text(since / 3600, ceiling * 1.03, name, fontsize=8, color="#5b6570")
        panels[0].legend(loc="upper right", bbox_to_anchor=(1.0, 0.62), frameon=False, ncols=3, fontsize=9)
        panels[-1].set_xlabel("hour of the day")
        figure.savefig(path)


def _panel(axes: Axes, lines: Sequence[DayLine], ceiling: float) -> None:
    for line, colour in reversed(list(zip(lines, COLOURS, strict=False))):
        rate = by_minute(line.requests)
        axes.plot(np.arange(len(rate)) / 60, rate, color=colour, linewidth=1.2, label=line.course)
    axes.axhline(ceiling, color=CEILING, linewidth=1.0, linestyle="--")
    axes.set_ylim(0, ceiling * 1.15)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_ylabel("requests a second")
    axes.spines[["top", "right"]].set_visible(False)
