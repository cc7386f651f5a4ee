"""The picture: which share of the fleet runs which version, and what the guard knew meanwhile."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from examples.rollouts.acts import Act
from examples.rollouts.story import Story

LINES = (("v0, the first", "#7a8593"), ("v1, good", "#1f5fa8"), ("v2, spoilt", "#c2371a"), ("v3, later", "#2f8a5b"))
"""Of each version, what it is called and its colour."""

INTERVAL, MARGIN, EVENT = "#1f5fa8", "#c2371a", "#9aa3ad"
LOWEST, HIGHEST = -0.3, 0.2
"""Differences of accuracy that are drawn."""

EVENTS = {
    "started": "starts", "promoted": "all", "aborted": "back", "paused": "paused", "resumed": "resumed",
    "experiment-started": "3 arms", "experiment-ended": "horizon",
}  # fmt: skip


def draw(story: Story, path: Path) -> None:
    """Write the figure as a PNG."""
    looks = [look for look in story.looks if look.act]
    if not looks:
        return
    at = [look.seconds for look in looks]
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=(10, 6.4), dpi=120, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        for version, (name, colour) in enumerate(LINES):
            shares = _seen([look.running.get(version, 0) / story.devices for look in looks])
            above.step(at, shares, where="post", color=colour, linewidth=2.2, label=name)
        above.set_ylim(-0.02, 1.2)
        above.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
        above.set_ylabel("devices that run it")
        above.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        above.set_title(f"Three rollouts and an experiment in a fleet of {story.devices} devices", loc="left")
        above.legend(loc="center", bbox_to_anchor=(0.48, 0.5), frameon=True, framealpha=0.9, edgecolor="none")
        _guard(below, story)
        for act in story.acts:
            _events(above, below, act)
        above.set_xlim(at[0] - 1, at[-1] + 1)
        below.set_xlabel("seconds")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path)


def _seen(shares: list[float]) -> list[float]:
    """Shares, without the noughts of a version that nobody is about to run or has just run."""
    return [share if any(shares[max(0, number - 1) : number + 2]) else math.nan for number, share in enumerate(shares)]


def _guard(axes: Axes, story: Story) -> None:
    """The interval as far as it is known, the margin, and where the wager was quicker."""
    for act in story.acts:
        looks = [look for look in story.looks if look.act == act.name and look.candidates is not None]
        known = [(look.seconds, look.low, look.high) for look in looks if look.low is not None]
        unknown = [look.seconds for look in looks if look.low is None]
        if unknown:
            axes.fill_between(
                [unknown[0], known[0][0] if known else act.moves[-1].seconds], LOWEST, HIGHEST,
                facecolor="none", edgecolor="#d5dae1", hatch="//", linewidth=0,
                label="nothing is known yet" if act.name == "canary" else None,
            )  # fmt: skip
        if known:
            end = act.moves[-1].seconds
            seconds, low, high = (list(column) for column in zip(*[*known, (end, *known[-1][1:])], strict=True))
            axes.fill_between(
                seconds, low, high, step="post", color=INTERVAL, alpha=0.25, linewidth=0,
                label="the guard knows: it lies here" if act.name == "canary" else None,
            )  # fmt: skip
        if act.name == "sabotage":
            told = act.figures["because"].partition(": ")[2].partition(" (")[0]
            axes.annotate(
                f"v{act.candidate} is worse:\n{told}",
                (act.moves[-1].seconds, LOWEST),
                (act.moves[-1].seconds + 4, 0.08),
                color=LINES[act.candidate][1],
                arrowprops={"arrowstyle": "->", "relpos": (0, 0), "color": LINES[act.candidate][1]},
                va="center",
            )
        if act.name == "experiment":
            _effects(axes, act)
    axes.axhline(-story.pace.margin, color=MARGIN, linestyle="--", linewidth=1.2, label="margin")
    axes.axhline(0, color=EVENT, linewidth=0.8)
    axes.set_ylim(LOWEST, HIGHEST)
    axes.set_ylabel("accuracy, candidate\nminus the version beside it")
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")


def _effects(axes: Axes, act: Act) -> None:
    """What the experiment has found of each arm, at its horizon."""
    result, end = act.figures["result"], act.moves[-1].seconds
    versions = {arm["name"]: arm["version"] for arm in result["arms"]}
    known = [effect for effect in result["effects"] if effect["low"] is not None]
    for number, effect in enumerate(known):
        at, colour = end - 4 * (len(known) - number), LINES[versions[effect["arm"]]][1]
        axes.plot([at, at], [effect["low"], effect["high"]], color=colour, linewidth=5, solid_capstyle="butt", alpha=0.5)
        label = "the experiment, at its horizon" if number == 0 else None
        axes.plot(at, effect["effect"], "o", color=colour, markersize=5, label=label)
        axes.annotate(
            f"v{versions[effect['arm']]}", (at, effect["high"]), (0, 3), textcoords="offset points", color=colour, ha="center"
        )


def _events(above: Axes, below: Axes, act: Act) -> None:
    above.text(act.moves[0].seconds + 1, 1.15, act.name, fontweight="bold", va="center")
    for move in act.moves:
        name = EVENTS.get(move.kind, "")
        if move.percent:
            name = "switch" if act.name == "blue-green" else f"{move.percent:g} %"
        if act.name == "blue-green" and move.kind == "started":
            name = "warms up"
        above.text(move.seconds + 1, 1.07, name, va="center", color="#4b5563")
        for axes in (above, below):
            axes.axvline(move.seconds, ymax=0.92 if axes is above else 1.0, color=EVENT, linewidth=0.8, linestyle=":")
