"""The figure: held-out accuracy, round by round, of federated and of centralised training."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from examples.digits.outcome import DemoOutcome

FEDERATED, CENTRAL, SERVED = "#1f5fa8", "#c2571a", "#6b7684"


def draw(outcome: DemoOutcome, path: Path) -> None:
    """Write the figure as a PNG."""
    start = outcome.versions[0].accuracy
    measured = [(rnd.number, rnd.accuracy, rnd.deployed) for rnd in outcome.rounds if rnd.accuracy is not None]
    numbers = [0, *(number for number, _, _ in measured)]
    accuracies = [start, *(accuracy for _, accuracy, _ in measured)]
    served = [start]
    for _, accuracy, deployed in measured:
        served.append(accuracy if deployed else served[-1])
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=(8, 4.5), dpi=160, layout="constrained")
        axes = figure.subplots()
        passes = range(1, len(outcome.central) + 1)
        axes.plot(
            [0, *passes],
            [start, *outcome.central],
            color=CENTRAL,
            linestyle="--",
            label=f"centralised: {outcome.central[-1]:.1%}",
        )
        axes.step(
            numbers, served, where="post", color=SERVED, linewidth=1.2, label=f"federated, deployed version: {served[-1]:.1%}"
        )
        axes.plot(
            numbers,
            accuracies,
            color=FEDERATED,
            marker="o",
            linewidth=2,
            label=f"federated, newest version: {accuracies[-1]:.1%}",
        )
        axes.set_xlabel("round (for the centralised model: the same number of passes over the data)")
        axes.set_ylabel("accuracy on held-out scans")
        axes.set_title(
            f"Handwritten digits: {outcome.devices} devices with unlike data, and {len(outcome.hostile)} hostile ones",
            loc="left",
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0, max(numbers[-1], len(outcome.central)) + 0.4)
        axes.set_ylim(0, 1.02)
        axes.grid(visible=True, axis="y", color="#e3e6ea")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(path)
