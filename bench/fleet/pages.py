"""What was counted, as Markdown tables and a picture: those of `docs/scale.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cost.savings import BEFORE
from bench.cost.scale import FleetSize
from bench.fleet.calls import CallCost
from bench.fleet.looks import LookCost
from bench.fleet.places import Admissions, Most

GOAL_SHARE = 100
"""A round of the picture has a goal of one in so many clients, and at most the largest that the API takes."""

SIZES = [round(10 ** (2 + step / 8)) for step in range(8 * 6 + 1)]
"""From 100 clients to 100 million."""


def calls(found: Mapping[int, Mapping[str, CallCost]]) -> str:
    """Each call, in stacks of these sizes."""
    few, many = sorted(found)
    sizes = f"{few:,} clients | {many:,} |"
    head = f"| | requests to AWS | read units | write units | bytes of rows, {sizes} bytes of the answer, {sizes}"
    lines = [head, "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for call, cost in found[few].items():
        other = found[many][call]
        units = " | ".join(_pair(f"{one:g}", f"{two:g}") for one, two in _counts(cost, other))
        sizes = f"{cost.row_bytes:,} | {other.row_bytes:,} | {_answer(cost)} | {_answer(other)}"
        lines.append(f"| {call} | {units} | {sizes} |")
    return "\n".join(lines)


def _counts(one: CallCost, two: CallCost) -> list[tuple[float, float]]:
    return [
        (one.requests, two.requests),
        (one.read_units, two.read_units),
        (one.write_units, two.write_units),
    ]


def _pair(one: str, two: str) -> str:
    return one if one == two else f"**{one}, {two}**"


def _answer(cost: CallCost) -> str:
    return f"{cost.reply_bytes:,}" if cost.reply_bytes else "–"


def places(found: Sequence[Admissions]) -> str:
    """What a second takes, in rounds of these sizes."""
    lines = ["| | of | units | a row | a partition | a table | so, a second |", "|---|---|--:|--:|--:|--:|--:|"]
    for one in found:
        of = f"{one.places:,} places in {one.parts} parts"
        lines += [_line(step, of, most) for step, most in one.steps.items()]
    return "\n".join(lines)


def alone(found: Sequence[Most]) -> str:
    """The same of what no round has to do with."""
    lines = ["| | units | a row | a partition | a table | so, a second |", "|---|--:|--:|--:|--:|--:|"]
    return "\n".join([*lines, *(_line(most.what, None, most) for most in found)])


def _line(name: str, of: str | None, most: Most) -> str:
    limits = " | ".join(f"{limit:,.0f}" for limit in (most.by_row, most.by_partition, most.by_table))
    where = "" if of is None else f" | {of}"
    return f"| {name}{where} | {most.units:.3g} | {limits} | {most.a_second:,.0f} |"


def looks(found: Sequence[LookCost]) -> str:
    """All looks of rounds of these sizes, and how much more those of the larger one cost."""
    few, many = found
    lines = [f"| | {few.receipts:,} receipts | {many.receipts:,} receipts | times |", "|---|--:|--:|--:|"]
    for name in ("requests", "read_units", "write_units", "cpu_seconds"):
        one, two = getattr(few, name), getattr(many, name)
        cells = " | ".join(f"{value:,.2f}" if name == "cpu_seconds" else f"{value:,.0f}" for value in (one, two))
        lines.append(f"| {name.replace('_', ' ').replace('cpu', 'CPU')} | {cells} | {two / one:.1f} |")
    return "\n".join(lines)


def picture(found: Sequence[Admissions], file: Path) -> None:
    """Requests a second by the fleet's size, before and now; and clients a second by what limits them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _requests(left)
    _limits(right, found)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=90)
    plt.close(figure)


def _requests(axes: Any) -> None:
    idle = [FleetSize(clients=size) for size in SIZES]
    training = [FleetSize(clients=size, goal=min(100_000, max(1, size // GOAL_SHARE))) for size in SIZES]
    before = [size / BEFORE.heartbeat_seconds + size / BEFORE.waiting_seconds for size in SIZES]
    axes.loglog(SIZES, before, color="tab:gray", linestyle="--", label="before, waiting for rounds")
    axes.loglog(
        SIZES, [fleet.beats + fleet.asks + 2 * fleet.joins for fleet in training], label="now, the busiest second of a round"
    )
    axes.loglog(SIZES, [fleet.beats for fleet in idle], label="now, at rest")
    axes.axhline(10_000, color="tab:red", linewidth=1)
    axes.text(SIZES[0], 11_500, "API Gateway's quota", color="tab:red", fontsize=8)
    axes.set(xlabel="clients", ylabel="requests a second")
    axes.legend(fontsize=8, loc="lower right")


def _limits(axes: Any, found: Sequence[Admissions]) -> None:
    steps = list(found[0].steps)
    for at, one in enumerate(found):
        offsets = [step + 0.8 / len(found) * at for step in range(len(steps))]
        label = f"{one.places:,} places, {one.parts} parts"
        axes.bar(offsets, [most.a_second for most in one.steps.values()], width=0.75 / len(found), align="edge", label=label)
    axes.axhline(5_000, color="tab:red", linewidth=1)
    axes.set_xticks([step + 0.4 for step in range(len(steps))], steps)
    axes.tick_params(axis="x", labelsize=8)
    axes.set(ylabel="clients a second, by the hottest row,\npartition or table")
    axes.legend(fontsize=8)
