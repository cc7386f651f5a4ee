"""`muster simulate`: an app's federation on this machine, with the server in this process, or against one that is there."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from muster.cli.places import server_in_this_process
from muster.cli.session import Json, Session, of
from muster.device.errors import TrainerFailed
from muster.operator.client import Operator
from muster.simulation import running
from muster.simulation.data import Data, Indices
from muster.simulation.errors import BadPlan
from muster.simulation.hostile import KINDS
from muster.simulation.outcome import SimulatedRound, SimulationOutcome
from muster.simulation.pictures import draw_curve, draw_holdings
from muster.simulation.place import RemotePlace, SimulatedPlace
from muster.simulation.plan import SimulationPlan

WIDTHS = {"round": 5, "accepted": 11, "late": 4, "dropped": 7, "rejected": 22, "gain": 8, "deployed": 8, "seconds": 7}


def simulate(
    ctx: typer.Context,
    app: Annotated[str, typer.Argument(help="A Python file that says app = muster.App(…).", show_default=False)],
    clients: Annotated[int, typer.Option(min=1, help="Devices.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that have to complete.")] = 10,
    data: Annotated[str, typer.Option(help="Who holds what: iid, dirichlet:ALPHA, shards:N, key, size:EXPONENT.")] = "iid",
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn: the same again, the same versions.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=0, help="That train; 0: none but this one. As many as cores.", show_default=False)
    ] = None,
    fraction: Annotated[float, typer.Option(help="Of the clients, that a round admits.")] = 1.0,
    over_selection: Annotated[float, typer.Option(help="Clients admitted, as a multiple of those that close a round.")] = 1.0,
    dropout: Annotated[float, typer.Option(help="Probability that a device with a place is not heard of again.")] = 0.0,
    hostile: Annotated[
        str, typer.Option(help=f"Share of hostile clients, and what they send: 0.1:sign-flip ({', '.join(KINDS)}).")
    ] = "0",
    spread: Annotated[float, typer.Option(help="Of the devices' paces: the deviation of a training's log time.")] = 0.0,
    central: Annotated[bool, typer.Option("--central", help="Train in one place too, on everybody's data.")] = False,
    cloud: Annotated[
        bool, typer.Option("--cloud", help="Against the server that --url names, instead of one in this process.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="The model's name, if not the app's.", show_default=False)] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures, the pictures and the deployed version.")] = Path(
        "simulated"
    ),
    as_json: Json = False,
) -> None:
    """Train an app's model on simulated devices, with the server's own code, and show what comes of it."""
    session = of(ctx)
    share, _, kind = hostile.partition(":")
    plan = SimulationPlan(
        clients=clients, rounds=rounds, partition=data, seed=seed, fraction=fraction, over_selection=over_selection,
        dropout=dropout, hostile=_share(share), hostile_kind=kind or "sign-flip", spread=spread,  # type: ignore[arg-type]
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    screen = _Screen(session.console, plan, quiet=as_json)
    with _place(session, cloud) as (place, operator), screen:

        def divide(examples: Data, parts: list[Indices]) -> None:
            draw_holdings(examples, parts, f"{app}: {plan.partition}", out / "data.png")
            screen.open(examples, parts)

        try:
            outcome = running.simulate(
                app, plan, place=place, operator=operator, processes=_processes(processes), model=model, central=central,
                divide=divide, tell=screen.row,
            )  # fmt: skip
        except TrainerFailed as failed:
            if failed.__cause__:
                session.errors.print("".join(traceback.format_exception(failed.__cause__)), highlight=False, markup=False)
            raise
        version = operator.version(outcome.model, "deployed")
        (out / "deployed.safetensors").write_bytes(operator.download(version.checkpoint))
    draw_curve(outcome, out / "rounds.png")
    (out / "outcome.json").write_text(json.dumps(outcome.as_json(), indent=2) + "\n")
    if as_json:
        session.json(outcome.as_json())
    else:
        screen.summary(outcome, out)


@contextmanager
def _place(session: Session, cloud: bool) -> Iterator[tuple[SimulatedPlace, Operator]]:
    if cloud:
        operator = session.operator
        yield RemotePlace(operator.url), operator
        return
    with server_in_this_process() as place:
        yield place, Operator(place.url, http=place.http())


def _processes(wanted: int | None) -> int:
    """As many as there are cores for this process; of one core, none beside it."""
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores > 1 else 0


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadPlan(f"hostile: expected a share, such as 0.1:sign-flip, got {text!r}") from None


class _Screen:
    """A bar while a run goes on, and a line for each round that has ended."""

    def __init__(self, console: Console, plan: SimulationPlan, *, quiet: bool) -> None:
        self._console = console
        self._plan = plan
        self._quiet = quiet
        self._headed = False
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=console, transient=True, disable=quiet or not console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> None:
        self._bar.start()
        self._task = self._bar.add_task("rounds", total=self._plan.rounds)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def open(self, examples: Data, parts: list[Indices]) -> None:
        """Who takes part."""
        sizes = [len(part) for part in parts]
        held = f"{sum(sizes):,} of {len(examples):,} examples, {min(sizes):,} to {max(sizes):,} each"
        hostile = f"; {self._plan.hostile_clients} hostile ({self._plan.hostile_kind})" if self._plan.hostile_clients else ""
        self._say(f"{self._plan.clients} clients ({self._plan.partition}): {held}{hostile}")

    def row(self, rnd: SimulatedRound) -> None:
        """A round that has ended."""
        if not self._headed:
            self._headed = True
            names = [f"{name:>{width}}" for name, width in WIDTHS.items()]
            self._say(Text(" ".join([*names, " held out"]), style="bold"))
        rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(rnd.rejected.items())) or "-"
        gain = "-" if rnd.gain is None else f"{rnd.gain:+.4f}"
        cells = (
            rnd.number, f"{rnd.accepted} of {rnd.goal}", rnd.late, rnd.dropped, rejected, gain, "yes" if rnd.deployed else "no",
            f"{rnd.seconds:.0f}",
        )  # fmt: skip
        line = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS.values(), strict=True))
        told = ", ".join(f"{name} {value:.4g}" for name, value in sorted(rnd.metrics.items())) or rnd.reason or rnd.phase
        self._say(f"{line}  {told}")
        if rnd.phase == "completed":
            self._bar.advance(self._task)

    def summary(self, outcome: SimulationOutcome, out: Path) -> None:
        """The figures that matter."""
        curve = outcome.curve()
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        metric, served = outcome.metric, outcome.served()[-1][1]
        table.add_row("deployed", f"version {outcome.deployed_version}", f"{metric} {served:.4g}", outcome.deployed_sha256)
        table.add_row("newest", f"version {outcome.newest_version}", f"{metric} {curve[-1][1]:.4g}", outcome.newest_sha256)
        local = outcome.local
        table.add_row("at home", "", f"{metric} {local['mean']:.4g}", f"worst tenth {local['tenth']:.4g}")
        if outcome.central:
            table.add_row("in one place", "", f"{outcome.metric} {outcome.central[-1]:.4g}", "")
        self._say("")
        self._console.print(table, highlight=False)
        each = 1000 * outcome.seconds / max(1, outcome.updates)
        self._say(f"{outcome.updates:,} updates in {outcome.seconds:.0f} s ({each:.0f} ms each); figures and pictures: {out}/")

    def _say(self, what: str | Text) -> None:
        if not self._quiet:
            self._console.print(what, highlight=False, soft_wrap=True)
