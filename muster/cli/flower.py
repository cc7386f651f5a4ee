"""`muster flower`: apps of Flower, run unmodified (docs/from-flower.md). The one command that has devices of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muster.cli.session import Json, Session, of
from muster.operator.client import Operator
from muster.wire.deciding import DecidingMetric

if TYPE_CHECKING:
    from muster.flower.fleet import FleetPlace

app = typer.Typer(no_args_is_help=True, help="Apps of Flower, as they are.")

SUPERNODES = 10
"""Clients of an app that does not say how many."""


@app.command()
def run(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The app: the folder with its pyproject.toml.")],
    url: Annotated[
        str | None,
        typer.Option(
            help="The cloud in which a strategy of Flower's own runs, by Muster's rules; as --url before the command. Without "
            "one, the ServerApp runs as it is, on this machine.",
            show_default=False,
        ),
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help=f"How many clients there are; as the app says, or {SUPERNODES}.", show_default=False
        ),
    ] = None,
    run_config: Annotated[
        list[str] | None,
        typer.Option(
            "--run-config",
            metavar="NAME=VALUE",
            help="Other values for keys of [tool.flwr.app.config], as in TOML; or a TOML file.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="The folder of this run, in which it is stored and goes on after a crash; .muster/flower/NAME unless given.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:lower]",
            help="The metric of the app's evaluation by which the cloud's versions are judged. Without it, nobody judges.",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes in which the ClientApp runs; one a core unless given.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="From which the app's generators are seeded.")] = 0,
    as_json: Json = False,
) -> None:
    """Run an app to its end. The same command goes on where the last one died, and says the result of one that had ended."""
    from muster.flower.loading import described
    from muster.flower.running import RunOptions
    from muster.flower.running import run as run_app

    session = of(ctx)
    found = described(folder, run_config or [])
    kept = state or Path(".muster/flower") / found.name
    options = RunOptions(
        state=kept,
        clients=clients or found.supernodes or SUPERNODES,
        seed=seed,
        processes=processes,
        fleet=_place(ctx, session, url, kept),
        metric=_metric(metric) if metric else None,
        say=lambda sentence: None if as_json else session.say(sentence, "dim"),
    )
    outcome = run_app(found, options)
    if as_json:
        told = {"calls": outcome.calls, "replayed": outcome.replayed, "model": outcome.model, "sha256": outcome.sha256}
        session.json({"app": found.name, "state": str(kept), **told})
        return
    session.say(f"{found.name} ended: {outcome.calls} calls of its grid, {outcome.replayed} of them answered from {kept}")
    if outcome.sha256:
        session.say(f"final arrays: {kept / 'final.safetensors'}, SHA-256 {outcome.sha256}")


def _place(ctx: typer.Context, session: Session, url: str | None, state: Path) -> FleetPlace | None:
    """The cloud, if one is named, here or before the command."""
    from muster.flower.fleet import FleetPlace

    named = url or ctx.find_root().params.get("url")
    if not named:
        return None
    operator = Operator.connect(named, session.profile, session.region) if url else session.operator
    return FleetPlace(operator=operator, url=named, folder=state / "fleet")


def _metric(said: str) -> DecidingMetric:
    name, _, direction = said.partition(":")
    if direction not in ("", "lower", "higher"):
        raise typer.BadParameter(f"expected NAME, NAME:higher or NAME:lower, got {said!r}", param_hint="--metric")
    return DecidingMetric.model_validate({"name": name, "direction": direction or "higher"})
