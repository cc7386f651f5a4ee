"""`muster model`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from muster.cli import overview, render, sizes
from muster.cli.changes import changed, changes
from muster.cli.files import json_object
from muster.cli.session import Because, DryRun, Json, Model, of
from muster.http.errors import Refused
from muster.operator.client import Operator
from muster.wire import admin
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header

app = typer.Typer(no_args_is_help=True, help="Create, configure and list models.")

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
    session.show(reply, as_json, lambda: overview.page([reply], session.now()))


@app.command()
def configure(
    ctx: typer.Context,
    model: Model,
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="name=value; names may be dotted (hyperparameters.learning_rate=0.01); without a value, the default.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--config", help="A JSON file with members to replace.", exists=True, dir_okay=False, show_default=False),
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The configuration's revision that you saw: if another was made since, nothing is changed. Without it, the "
            "present. With it, the same command may be sent twice.",
            show_default=False,
        ),
    ] = None,
    because: Because = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Change how a model's rounds run, from the next one on. What changes is shown; --dry-run shows it only."""
    session = of(ctx)
    if not assign and file is None:
        raise typer.BadParameter("what is to change? --set name=value, or --config FILE", param_hint="--set")
    found = session.operator.status(model)
    wanted = changed(found.config, assign or [], json_object(file, "--config"))
    seen = revision or found.config_revision
    reply = session.operator.configure(model, wanted, revision=seen, because=because, dry_run=dry_run)
    differing = changes(found.config, reply.config)
    if as_json:
        told = [{"name": name, "before": before, "after": after} for name, before, after in differing]
        session.json({"dry_run": dry_run, "changes": told, **reply.model_dump(mode="json")})
        return
    session.print(render.changes(differing))
    if dry_run:
        session.say("dry run: nothing was changed", "dim")
    else:
        session.say(f"configured {model}: revision {reply.revision}, from the next round on")


@app.command()
def history(
    ctx: typer.Context,
    model: Model,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20,
    as_json: Json = False,
) -> None:
    """How a model was configured, newest first: who, when, why, and what changed."""
    session = of(ctx)
    found = list(islice(session.operator.configurations(model), limit + 1))
    session.show(found[:limit], as_json, lambda: render.configurations(found, limit))


FATES = {
    "kept": "kept",
    "unmarked": "kept again",
    "marked": "will expire",
    "expiring": "expires",
    "overdue": "deleted next",
    "deleted": "deleted",
}
"""What becomes of a version, for a person."""


@app.command()
def retention(
    ctx: typer.Context,
    model: Model,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep-versions",
            min=2,
            max=100_000,
            help="As if the model kept so many; without it, as it is.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Which versions are kept and why, which expire, and how many bytes that is. It changes nothing: a dry run of
    `muster model configure MODEL --set keep_versions=N`.
    """
    session = of(ctx)
    found = list(session.operator.retention(model, keep))
    session.show(found, as_json, lambda: _retention(found))


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
    session.show(found, as_json, lambda: render.facts([("config", render.members(found.config)), *_standing(found)]))


def _standing(found: admin.ModelStatus) -> list[tuple[str, object]]:
    return [
        ("training", render.training(found.training)),
        ("deployed version", found.deployed_version),
        ("deployment revision", found.deployment_revision),
        ("newest version", found.newest_version),
        ("round", found.round.round if found.round else None),
    ]


def _retention(found: Sequence[admin.RetainedVersion]) -> RenderableType:
    """What becomes of a model's versions: those that follow one another and have the same fate share a line. A checkpoint that
    several have is counted in the line of the newest.
    """
    seen: set[str] = set()
    rows: list[tuple[object, ...]] = []
    for (fate, because, day), some in groupby(
        found, lambda v: (v.fate, tuple(v.because), v.expires_at and v.expires_at.date())
    ):
        run = list(some)
        nbytes = sum({v.sha256: v.bytes for v in run if v.sha256 not in seen}.values())
        seen |= {v.sha256 for v in run if v.bytes}
        span = str(run[0].version) if len(run) == 1 else f"{run[-1].version}-{run[0].version}"
        rows.append((span, len(run), FATES[fate], list(because), day and f"{day:%Y-%m-%d}", sizes.size(nbytes)))
    return render.table(["versions", "count", "what", "because", "on", "bytes"], rows, "no versions")


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
    return admin.RoundConfig.model_validate(
        json_object(path, "--config") | {name: value for name, value in chosen.items() if value is not None}
    )


def about(data: bytes) -> dict[str, Any]:
    """What a dry run says of a checkpoint, from its own header."""
    header = parse_header(data, HEADER_LIMIT_BYTES)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "tensors": len(header.specs)}
