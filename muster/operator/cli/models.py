"""`muster model`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from muster.http.errors import Refused
from muster.operator.cli import render
from muster.operator.cli.session import DryRun, Json, Model, of
from muster.operator.client import Operator
from muster.wire import admin
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header

app = typer.Typer(no_args_is_help=True, help="Create and list models.")

Checkpoint = Annotated[
    Path, typer.Argument(help="A safetensors file.", exists=True, dir_okay=False, readable=True, show_default=False)
]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and dashes.", show_default=False)],
    checkpoint: Checkpoint,
    goal: Annotated[int | None, typer.Option(help="Accepted updates that close a round.", show_default=False)] = None,
    quorum: Annotated[
        int | None, typer.Option(help="Accepted updates below which a round is abandoned.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file with a RoundConfig (docs/openapi.json).", exists=True, dir_okay=False, show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Create a model: the checkpoint becomes version 0, and is deployed."""
    session = of(ctx)
    wanted = _config(config, goal=goal, quorum=quorum)
    data = checkpoint.read_bytes()
    if dry_run:
        taken = _exists(session.operator, name)
        what = f"be refused, unless it is the same: model {name} exists" if taken else f"create model {name}"
        session.would(what, as_json, {**about(data), "config": wanted.model_dump(mode="json")})
        return
    reply = session.operator.create_model(name, data, wanted)
    session.show(reply, as_json, lambda: render.status(reply))


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """All models."""
    session = of(ctx)
    found = session.operator.models()
    session.show(found, as_json, lambda: render.models(found))


@app.command()
def show(ctx: typer.Context, model: Model, as_json: Json = False) -> None:
    """One model: its configuration, its training, and how it stands."""
    session = of(ctx)
    found = session.operator.status(model)
    session.show(found, as_json, lambda: render.facts([("config", found.config.model_dump_json()), *_standing(found)]))


def _standing(found: admin.ModelStatus) -> list[tuple[str, object]]:
    training = found.training
    return [
        ("training", f"{training.state}, {training.rounds_completed} of {training.rounds_wanted} rounds completed"),
        ("deployed version", found.deployed_version),
        ("deployment revision", found.deployment_revision),
        ("newest version", found.newest_version),
        ("round", found.round.round if found.round else None),
    ]


def _exists(operator: Operator, name: str) -> bool:
    try:
        operator.status(name)
    except Refused as refused:
        if refused.problem is Problem.UNKNOWN_MODEL:
            return False
        raise
    return True


def _config(path: Path | None, **chosen: int | None) -> admin.RoundConfig:
    """The configuration of a file, and what options say before it."""
    try:
        values = json.loads(path.read_bytes()) if path else {}
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint="--config") from error
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path} does not hold a JSON object", param_hint="--config")
    return admin.RoundConfig.model_validate(values | {name: value for name, value in chosen.items() if value is not None})


def about(data: bytes) -> dict[str, Any]:
    """What a dry run says of a checkpoint, from its own header."""
    header = parse_header(data, HEADER_LIMIT_BYTES)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "tensors": len(header.specs)}
