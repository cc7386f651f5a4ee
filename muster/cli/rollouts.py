"""`muster rollout`: a version that reaches the clients step by step."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from muster.cli import render
from muster.cli.files import json_object
from muster.cli.session import Because, DryRun, Json, Limit, Model, Revision, VersionRef, of
from muster.operator.telling import did, moving, present
from muster.wire import admin

app = typer.Typer(no_args_is_help=True, help="Let a version reach the clients step by step, and take it back.")

Kind = Annotated[
    str | None,
    typer.Option(
        "--strategy", help="immediate, rolling, canary or blue-green; without it the model's own.", show_default=False
    ),
]
Steps = Annotated[str | None, typer.Option(help="Shares of the fleet in per cent: 5,25.", show_default=False)]
Pause = Annotated[float | None, typer.Option(help="Seconds that each step lasts at least.", show_default=False)]
StrategyFile = Annotated[
    Path | None,
    typer.Option(
        "--strategy-file",
        help="A JSON file with the strategy's members (docs/rollouts.md); other options go before it.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]


def strategy_of(kind: str | None, steps: str | None, pause: float | None, file: Path | None) -> admin.Strategy | None:
    """The strategy that the options say; None when they say none.

    Raises:
        typer.BadParameter: the steps are no numbers.
        pydantic.ValidationError: it is none.
    """
    said: dict[str, Any] = {} if file is None else json_object(file, "--strategy-file")
    if kind is not None:
        said["kind"] = kind
    if steps is not None:
        try:
            said["steps"] = [float(step) for step in steps.split(",")]
        except ValueError as error:
            raise typer.BadParameter(
                f"expected numbers with commas between them, got {steps!r}", param_hint="--steps"
            ) from error
    if pause is not None:
        said["pause_seconds"] = pause
    return admin.Strategy.model_validate(said) if said else None


@app.command()
def start(
    ctx: typer.Context,
    model: Model,
    version: VersionRef,
    strategy: Kind = None,
    steps: Steps = None,
    pause: Pause = None,
    file: StrategyFile = None,
    because: Because = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Begin a rollout of a version, as `muster deploy` does with a strategy: a canary of 5 and 25 per cent, unless you or the
    model say otherwise.
    """
    session = of(ctx)
    status = session.operator.status(model)
    wanted = strategy_of(strategy, steps, pause, file) or status.config.strategy or admin.CANARY
    seen = revision or status.deployment_revision
    reply = session.operator.deploy(model, version, revision=seen, strategy=wanted, because=because, dry_run=dry_run)
    tell(ctx, reply, seen, dry_run, as_json)


@app.command("list")
def list_(ctx: typer.Context, model: Model, limit: Limit = 20, as_json: Json = False) -> None:
    """What became of a model's rollouts, newest first: each move is a revision of the history of deployments."""
    session = of(ctx)
    moves = (one for one in session.operator.deployments(model) if one.rollout or one.kind in ("promoted", "aborted"))
    found = list(islice(moves, limit))
    session.show(found, as_json, lambda: render.deployments(found))


@app.command()
def show(ctx: typer.Context, model: Model, as_json: Json = False) -> None:
    """The rollout that goes on: its step, and what clients say of either version."""
    session = of(ctx)
    found = session.operator.rollout(model)
    session.show(found, as_json, lambda: render.rollout(found))


def _mover(move: Literal["pause", "resume", "promote", "abort"], says: str) -> None:
    def command(
        ctx: typer.Context,
        model: Model,
        because: Because = None,
        revision: Revision = None,
        dry_run: DryRun = False,
        as_json: Json = False,
    ) -> None:
        session = of(ctx)
        seen = revision or session.operator.status(model).deployment_revision
        reply = session.operator.move_rollout(model, move, revision=seen, because=because, dry_run=dry_run)
        tell(ctx, reply, seen, dry_run, as_json)

    app.command(move, help=says)(command)


_mover("pause", "Let a rollout go no further; clients keep what they have. A worse candidate is taken back all the same.")
_mover("resume", "Let a paused rollout go on; its step begins anew.")
_mover("promote", "Give all clients the candidate, at once.")
_mover("abort", "Give all clients the deployed version again; the candidate is rolled back.")


def tell(ctx: typer.Context, reply: admin.DeploymentReply, seen: int, dry_run: bool, as_json: bool) -> None:
    """Say what was deployed, or would be."""
    session = of(ctx)
    if dry_run:
        what = f"keep {present(reply)}" if reply.revision == seen else did(reply, would=True)
        changes = None if reply.revision == seen else moving(session.operator.status(reply.model), reply)
        what += f"; {changes}" if changes else ""
        session.would(what, as_json, reply.model_dump(mode="json") if as_json else None)
        return
    if as_json:
        session.json(reply.model_dump(mode="json"))
    elif reply.revision == seen:
        session.say(f"{present(reply)} already (revision {reply.revision}); nothing was changed")
    else:
        session.say(f"{did(reply)} (revision {reply.revision})", "green")
    if session.names.get("revision") is not None and (since := _since(session.operator.status(reply.model), reply)):
        session.note(since)


def _since(now: admin.ModelStatus, reply: admin.DeploymentReply) -> str | None:
    """What is served now, where the same command was sent before and something else was decided since."""
    if now.deployment_revision == reply.revision:
        return None
    beside = f", and version {now.rollout.candidate} to {now.rollout.percent:g} %" if now.rollout else ""
    return (
        f"that was done before, and nothing was changed now: since then revision {now.deployment_revision} serves "
        f"version {now.deployed_version}{beside}; muster deployment list {reply.model}"
    )
