"""`muster version`, `muster deployment`, `muster deploy`, `muster rollback`."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from muster.cli import recomputing, render
from muster.cli.models import Checkpoint, about
from muster.cli.rollouts import Kind, Pause, Steps, StrategyFile, strategy_of, tell
from muster.cli.session import Because, DryRun, Json, Limit, Model, Revision, Session, VersionRef, WithUrls, of
from muster.http.errors import Untrusted
from muster.operator.recompute import Recomputed
from muster.operator.telling import pinning
from muster.wire import admin

app = typer.Typer(no_args_is_help=True, help="List, register, download and verify versions.")
deployments = typer.Typer(no_args_is_help=True, help="The history of what was deployed.")


@app.command("list")
def list_(
    ctx: typer.Context,
    model: Model,
    state: Annotated[str | None, typer.Option(help="Only those in this state.", show_default=False)] = None,
    limit: Limit = 20,
    as_json: Json = False,
    with_urls: WithUrls = False,
) -> None:
    """A model's versions, newest first."""
    session = of(ctx)
    found = list(islice(session.operator.versions(model, state), limit))
    session.show(found, as_json, lambda: render.versions(found), with_urls=with_urls)


@app.command()
def show(ctx: typer.Context, model: Model, version: VersionRef, as_json: Json = False, with_urls: WithUrls = False) -> None:
    """One version: its state, its lineage, its checkpoint."""
    session = of(ctx)
    found = session.operator.version(model, version)
    session.show(found, as_json, lambda: render.version(found), with_urls=with_urls)


@app.command()
def register(
    ctx: typer.Context,
    model: Model,
    checkpoint: Checkpoint,
    metric: Annotated[
        list[str] | None, typer.Option(help="What you measured of it: name=value; may be repeated.", show_default=False)
    ] = None,
    note: Annotated[str | None, typer.Option(help="A few words; kept with the version.", show_default=False)] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a safetensors file the model's next version, staged. It must have the model's tensors."""
    session = of(ctx)
    metrics = dict(_metric(text) for text in metric or [])
    data = checkpoint.read_bytes()
    if dry_run:
        newest = session.operator.status(model).newest_version
        session.would(f"register version {newest + 1} of {model}", as_json, {**about(data), "metrics": metrics, "note": note})
        return
    reply = session.operator.register(model, data, metrics, note)
    session.show(reply, as_json, lambda: render.version(reply))


@app.command()
def keep(ctx: typer.Context, model: Model, version: VersionRef, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Keep a version whatever else happens; one that expires is kept again. What keeps the others: muster model retention."""
    _pin(ctx, model, version, pinned=True, dry_run=dry_run, as_json=as_json)


@app.command()
def release(ctx: typer.Context, model: Model, version: VersionRef, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Keep a version no longer than anything else does."""
    _pin(ctx, model, version, pinned=False, dry_run=dry_run, as_json=as_json)


def _pin(ctx: typer.Context, model: str, version: str, *, pinned: bool, dry_run: bool, as_json: bool) -> None:
    session = of(ctx)
    if dry_run:
        found = session.operator.kept(model, version)
        session.would(pinning(found, pinned=pinned), as_json, {"version": found.id, "pinned": pinned} if as_json else None)
        return
    reply = session.operator.pin(model, version, pinned=pinned)
    session.show(reply, as_json, lambda: render.version(reply))


@app.command()
def download(
    ctx: typer.Context,
    model: Model,
    version: VersionRef,
    out: Annotated[
        Path | None, typer.Option(help="The file to write (default: MODEL-vN.safetensors).", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a version's checkpoint to a file, verified against its digest."""
    session = of(ctx)
    found = session.operator.kept(model, version)
    path = out or Path(f"{model}-v{found.version}.safetensors")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; --force overwrites it")
    path.write_bytes(session.operator.download(found.checkpoint))
    if as_json:
        session.json(
            {"version": found.id, "file": str(path), "sha256": found.checkpoint.sha256, "bytes": found.checkpoint.bytes}
        )
    else:
        session.say(f"wrote {path}: {found.id}, {found.checkpoint.bytes} bytes, sha256 {found.checkpoint.sha256}")


@app.command()
def verify(
    ctx: typer.Context,
    model: Model,
    version: VersionRef,
    again: Annotated[
        bool,
        typer.Option(
            "--recompute",
            help="Also fetch what its round aggregated, compute the version again, and compare: the devices' updates, private "
            "data, are in a temporary folder for so long. Exit status 5 when the result is another.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Download a version and its document, and hold them against their digests and against each other.

    With --recompute it is also computed again, which needs the round's updates (keep_updates) and the permission to read them.
    """
    session = of(ctx)
    found = session.operator.kept(model, version)
    session.operator.download(found.checkpoint)
    held = _held(model, found, json.loads(session.operator.document(found)))
    made = _recomputed(session, model, found) if again else None
    if as_json:
        verdict = {"verified": made is None or made.equal, **held, "document_sha256": found.document_sha256}
        session.json(verdict | ({"recomputed": recomputing.summary(made)} if made else {}))
    else:
        session.say(
            f"{found.id}: the checkpoint ({found.checkpoint.bytes} bytes) and its document match their digests and each other"
        )
        session.print(render.facts(list(held.items())))
        if made:
            recomputing.tell(session, made)
    if made:
        recomputing.end(made)


def _held(model: str, found: admin.VersionReply, document: dict[str, Any]) -> dict[str, Any]:
    """What the registry and the document both say of a version.

    Raises:
        Untrusted: they do not say the same.
    """
    said = {
        "model": document["model"],
        "version": document["version"],
        "round": document.get("round"),
        "base": document.get("base"),
        "parent": document.get("parent"),
        "checkpoint": document["checkpoint"],
        "manifest_sha256": document.get("manifest_sha256"),
    }
    held = {
        "model": model,
        "version": found.version,
        "round": found.round,
        "base": found.base,
        "parent": found.parent,
        "checkpoint": {"sha256": found.checkpoint.sha256, "bytes": found.checkpoint.bytes},
        "manifest_sha256": found.manifest_sha256,
    }
    wrong = {name: f"the document says {said[name]}, the registry {held[name]}" for name in held if said[name] != held[name]}
    if wrong:
        raise Untrusted(f"{found.id}: {'; '.join(f'{name}: {words}' for name, words in wrong.items())}")
    return held


def _recomputed(session: Session, model: str, found: admin.VersionReply) -> Recomputed:
    """The version, computed again from an export that is not kept."""
    if found.round is None:
        raise typer.BadParameter(f"no round made {found.id}", param_hint="--recompute")
    with TemporaryDirectory(prefix="muster-verify-") as folder:
        recomputing.export_with_progress(session, model, found.round, Path(folder))
        return recomputing.recompute_with_progress(session, Path(folder))


@deployments.command("list")
def history(ctx: typer.Context, model: Model, limit: Limit = 20, as_json: Json = False) -> None:
    """What was deployed, newest first."""
    session = of(ctx)
    found = list(islice(session.operator.deployments(model), limit))
    session.show(found, as_json, lambda: render.deployments(found))


def deploy(
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
    """Serve a version to the model's clients from now on: at once, or step by step by a strategy."""
    session = of(ctx)
    wanted = strategy_of(strategy, steps, pause, file)
    seen = revision or session.operator.status(model).deployment_revision
    reply = session.operator.deploy(model, version, revision=seen, strategy=wanted, because=because, dry_run=dry_run)
    tell(ctx, reply, seen, dry_run, as_json)


def rollback(
    ctx: typer.Context,
    model: Model,
    steps: Annotated[int, typer.Option(min=1, max=100, help="How far back along the history of deployments.")] = 1,
    because: Because = None,
    revision: Revision = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Go back to what was deployed before; what is left is marked as rolled back."""
    session = of(ctx)
    seen = revision or session.operator.status(model).deployment_revision
    reply = session.operator.rollback(model, steps, revision=seen, because=because, dry_run=dry_run)
    tell(ctx, reply, seen, dry_run, as_json)


def _metric(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not name=value", param_hint="--metric") from error
