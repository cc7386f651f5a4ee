"""What the demo prints: progress bars where there is a terminal to draw them on, and plain lines everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from examples.digits.outcome import DemoOutcome, RoundFigures
from muster.wire import admin

WIDTH = 104
"""Columns of the plain output, which has no terminal to ask."""

HEADER = (
    f"{'round':>5}  {'outcome':<9}  {'accepted':>8}  {'late':>4}  {'held-out':>8}  {'judges':>8}  {'uploaded':>8}  {'time':>6}"
    f"  {'deployed':<8}  rejected"
)


class Screen:
    """The console, and the bars at its foot while the demo runs."""

    def __init__(self, console: Console | None = None) -> None:
        plain = Console(soft_wrap=True)
        self.console = console or (plain if plain.is_terminal else Console(width=WIDTH, soft_wrap=True))
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._rounds = self._bars.add_task("rounds", total=None, note="starting")
        self._updates = self._bars.add_task("accepted", total=None, note="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def open(
        self, place: str, console: str, honest: int, hostile: Sequence[str], config: admin.RoundConfig, rounds: int
    ) -> None:
        """Say what is about to happen, and head the table."""
        self._print(Text("Muster: federated digits", style="bold"))
        self._print(
            f"{honest} honest devices with unlike data and {len(hostile)} hostile ones ({', '.join(hostile)}), "
            f"{rounds} round{'s' * (rounds != 1)}, {place}.\n"
            f"A round closes at {config.goal} accepted updates; {config.evaluators} devices then judge its version.\n"
            f"To watch it in a browser, in another terminal: {console}\n"
        )
        self._print(Text(HEADER, style="bold"))
        self._bars.update(self._rounds, total=rounds)
        self._bars.update(self._updates, total=config.goal)

    def said(self, line: str) -> None:
        """A line of the console that runs beside the demo."""
        self._print(line)

    def look(self, status: admin.ModelStatus) -> None:
        """Move the bars to where the model stands."""
        done = status.training.rounds_completed
        self._bars.update(self._rounds, completed=done, note=f"version {status.deployed_version} is served")
        if rnd := status.round:
            self._bars.update(self._updates, completed=rnd.accepted, note=f"round {rnd.number} is {rnd.phase}")

    def row(self, rnd: RoundFigures) -> None:
        """One round that has ended."""
        rejected = ", ".join(f"{count} {reason}" for reason, count in rnd.rejected.items()) or "-"
        line = Text(f"{rnd.number:>5}  ")
        line.append(f"{rnd.phase:<9}", style="green" if rnd.phase == "completed" else "red")
        line.append(f"  {f'{rnd.accepted}/{rnd.goal}':>8}  {rnd.late:>4}")
        line.append(f"  {_percent(rnd.accuracy):>8}  {_points(rnd.gain):>8}")
        line.append(f"  {rnd.uploaded_bytes / 1000:>5.0f} kB  {rnd.seconds:>4.1f} s")
        line.append(f"  {f'v{rnd.version}' if rnd.deployed else '-':<8}", style="bold green" if rnd.deployed else "")
        line.append(f"  {rejected}", style="yellow" if rnd.rejected else "")
        if rnd.phase == "abandoned":
            line.append(f"  {rnd.reason}", style="red")
        self._print(line)

    def central(self, examples: int) -> None:
        """Say that the centralised model is being trained."""
        self._bars.update(self._updates, visible=False)
        self._bars.update(self._rounds, note=f"training centrally on all {examples} examples")

    def lineage(self, outcome: DemoOutcome) -> None:
        """Every version and where it came from."""
        table = Table(
            title="Versions", title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0)
        )
        for name in ("version", "base", "parent", "round"):
            table.add_column(name, justify="right")
        table.add_column("state")
        table.add_column("held-out", justify="right")
        table.add_column("sha256")
        for one in outcome.versions:
            origin = ("-" if number is None else f"{number}" for number in (one.base, one.parent, one.round))
            served = one.version == outcome.deployed_version
            style = "bold green" if served else ""
            table.add_row(f"{one.version}", *origin, one.state, _percent(one.accuracy), one.sha256[:12], style=style)
        self._print("")
        self._print(table)

    def tour(self, outcome: DemoOutcome) -> None:
        """The operator's tour, as a terminal shows it."""
        self._print(Text("\nThe operator's tour", style="bold"))
        for step in outcome.tour.steps:
            self._print(Text(f"\n$ {step.command}", style="bold"))
            self._print(step.output)

    def summary(self, outcome: DemoOutcome, files: Sequence[str]) -> None:
        """The figures that matter, and whether they are the expected ones."""
        final, central = outcome.deployed, outcome.central[-1]
        uploaded = sum(rnd.uploaded_bytes for rnd in outcome.rounds)
        self._print(
            f"\nfederated  {_percent(final.accuracy)} (deployed version {final.version}); "
            f"newest version {outcome.versions[-1].version}: {_percent(outcome.versions[-1].accuracy)}\n"
            f"central    {_percent(central)} (the same network, trained on everybody's data in one place)\n"
            f"updates    {sum(rnd.accepted for rnd in outcome.rounds)} accepted, "
            f"{sum(outcome.rejected.values())} rejected, {uploaded / 1e6:.1f} MB uploaded; "
            f"devices disappeared {outcome.disappearances} times"
        )
        for one in outcome.hostile:
            word = ", ".join(f"{count} times {reason}" for reason, count in one.rejected.items()) or "never"
            self._print(f"{one.client_id:<14} joined {len(one.outcomes)} rounds, rejected {word}")
        self._print(f"\n{outcome.seconds:.0f} seconds; wrote {' and '.join(files)}")
        for sentence in outcome.unmet():
            self._print(Text(f"FAILED: {sentence}", style="bold red"))

    def staying(self, what: str) -> None:
        """Say what is there until somebody ends it."""
        self._print(f"\n{what} until Ctrl-C")

    def _print(self, what: str | Text | Table) -> None:
        self.console.print(what, highlight=False, markup=False)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"


def _points(gain: float | None) -> str:
    """An accuracy gain in percentage points."""
    return "-" if gain is None else f"{100 * gain:+.1f} pt"
