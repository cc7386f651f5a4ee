"""The figure: held-out accuracy, round by round, of federated and of centralised training."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from examples.digits.outcome import Outcome

FEDERATED, CENTRAL, SERVED = "#1f5fa8", "#c2571a", "#6b7684"


def draw(outcome: Outcome, path: Path) -> None:
    """Write the figure as a PNG."""
    rounds = [rnd for rnd in outcome.rounds if rnd.accuracy is not None]
    numbers, accuracies = [0], [outcome.versions[0].accuracy]
    served = [outcome.versions[0].accuracy]
    for rnd in rounds:
        assert rnd.accuracy is not None
        numbers.append(rnd.number)
        accuracies.append(rnd.accuracy)
        served.append(rnd.accuracy if rnd.deployed else served[-1])
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=(8, 4.5), dpi=160, layout="constrained")
        axes = figure.subplots()
        axes.axhline(outcome.central[-1], color=CENTRAL, linewidth=1, linestyle=":")
        passes = range(1, len(outcome.central) + 1)
        axes.plot([0, *passes], [accuracies[0], *outcome.central], color=CENTRAL, linestyle="--", label="centralised")
        axes.step(numbers, served, where="post", color=SERVED, linewidth=1.2, label="federated, deployed version")
        axes.plot(numbers, accuracies, color=FEDERATED, marker="o", linewidth=2, label="federated, newest version")
        axes.set_xlabel("round (for the centralised model: the same number of passes over the data)")
        axes.set_ylabel("accuracy on held-out scans")
        axes.set_title(f"{outcome.devices} devices with unlike data, {len(outcome.hostile)} hostile ones", loc="left")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0, max(numbers[-1], len(outcome.central)) + 0.4)
        axes.set_ylim(0, 1.02)
        axes.grid(visible=True, axis="y", color="#e3e6ea")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(path)
