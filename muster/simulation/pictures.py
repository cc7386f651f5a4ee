"""The figures of a run: how good it became, round by round, and who holds what (extra `[simulation]`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from muster.simulation.data import Data, Indices
from muster.simulation.outcome import SimulationOutcome

NEWEST, CENTRAL, SERVED = "#1f5fa8", "#c2571a", "#6b7684"
MOST_LABELS, MOST_BARS = 20, 200


def draw_curve(outcome: SimulationOutcome, path: Path) -> None:
    """The deciding metric on what no device holds, by round, as a PNG."""
    figure, axes = _paper()
    newest, served = outcome.curve(), outcome.served()
    if outcome.central:
        central = [newest[0][1], *outcome.central]
        axes.plot(range(len(central)), central, color=CENTRAL, linestyle="--", label=f"in one place: {outcome.central[-1]:.4g}")
    axes.step(*zip(*served, strict=True), where="post", color=SERVED, linewidth=1.2, label=f"deployed: {served[-1][1]:.4g}")
    axes.plot(
        *zip(*newest, strict=True), color=NEWEST, marker="o", markersize=4, linewidth=2, label=f"newest: {newest[-1][1]:.4g}"
    )
    axes.set_xlabel("round")
    axes.set_ylabel(f"{outcome.metric} on held-out data")
    plan = outcome.plan
    axes.set_title(f"{outcome.model}: {plan.clients} clients, {plan.partition}", loc="left")
    axes.grid(visible=True, axis="y", color="#e3e6ea")
    axes.legend(loc="best", frameon=False)
    figure.savefig(path)


def draw_holdings(data: Data, parts: Sequence[Indices], title: str, path: Path) -> None:
    """How many examples each client holds, by label where there are classes, as a PNG; those that hold most first."""
    figure, axes = _paper()
    names, counts = _counted(data, parts)
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    shown = order if len(order) <= MOST_BARS else order[np.linspace(0, len(order) - 1, MOST_BARS).astype(np.intp)]
    bottom = np.zeros(len(shown))
    colours = _colours(len(names))
    for column, name in enumerate(names):
        axes.bar(range(len(shown)), counts[shown, column], bottom=bottom, width=1.0, color=colours[column], label=name)
        bottom += counts[shown, column]
    axes.set_xlabel(f"{len(parts)} clients" + (f", of which {MOST_BARS} are shown" if len(shown) < len(parts) else ""))
    axes.set_ylabel("examples")
    axes.set_title(title, loc="left")
    axes.set_xlim(-0.5, len(shown) - 0.5)
    if len(names) > 1:
        axes.legend(title="label", frameon=False, fontsize=8, loc="upper right", ncols=2)
    figure.savefig(path)


def _counted(data: Data, parts: Sequence[Indices]) -> tuple[list[str], Any]:
    """Names of labels, and examples by client and label; of labels that are no classes, or too many, all together."""
    labels = np.asarray(data.labels)
    classes = np.unique(labels) if labels.ndim == 1 else np.array([])
    if not 1 < len(classes) <= MOST_LABELS:
        return ["all"], np.array([[len(part)] for part in parts])
    counts = np.array([[np.count_nonzero(labels[part] == one) for one in classes] for part in parts])
    return [str(one) for one in classes], counts


def _colours(count: int) -> Any:
    import matplotlib as mpl

    return mpl.colormaps["tab20"](np.linspace(0.0, 1.0, max(count, 2)))


def _paper() -> tuple[Any, Any]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), dpi=160, layout="constrained")
    axes = figure.subplots()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
