"""`muster round`."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from muster.cli import figures, overview, pictures, recomputing, render
from muster.cli.pictures import Force, Out
from muster.cli.session import Because, DryRun, Json, Model, of
from muster.operator.telling import abandoning, starting, stopping
from muster.wire import admin

app = typer.Typer(no_args_is_help=True, help="Start, watch and end rounds; export one, and compute its version again.")

Number = Annotated[int | None, typer.Argument(help="The round's number; without it, the newest.", show_default=False)]
Limit = Annotated[int, typer.Option(min=1, help="How many to list.")]

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder.", show_default=False)]

MOST_PLOTTED = 100
"""Rounds of one figure."""

_ROUND = re.compile(r"([a-z][a-z0-9-]{0,47})\.([1-9][0-9]{0,7})")


@app.command("list")
def list_(ctx: typer.Context, model: Model, limit: Limit = 20, as_json: Json = False) -> None:
    """A model's rounds, newest first."""
    session = of(ctx)
    found = list(islice(session.operator.rounds(model), limit))
    session.show(found, as_json, lambda: render.rounds(found))


@app.command()
def show(ctx: typer.Context, model: Model, number: Number = None, as_json: Json = False) -> None:
    """One round: its phase, and what became of its places."""
    session = of(ctx)
    found = session.operator.round(model, number if number is not None else _newest(session.operator.status(model)))
    session.show(found, as_json, lambda: render.round_(found))


@app.command()
def receipts(
    ctx: typer.Context,
    model: Model,
    number: Number = None,
    state: Annotated[
        str | None, typer.Option(help="Only places that are 'accepted', 'rejected', 'late', 'failed', …", show_default=False)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only places that ended for this reason.", show_default=False)] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Who had a place in a round, and what became of it, in no particular order. Kept for 30 days after the round."""
    session = of(ctx)
    chosen = number if number is not None else _newest(session.operator.status(model))
    found = list(islice(session.operator.receipts(model, chosen, state=state, reason=reason), limit))
    session.show(found, as_json, lambda: render.receipts(found))


@app.command()
def judges(ctx: typer.Context, model: Model, number: Number = None, limit: Limit = 50, as_json: Json = False) -> None:
    """Who judges a round's candidate, and what each measured of it and of the deployed version. Kept for 30 days."""
    session = of(ctx)
    chosen = number if number is not None else _newest(session.operator.status(model))
    found = list(islice(session.operator.judgements(model, chosen), limit))
    session.show(found, as_json, lambda: render.judgements(found))


@app.command()
def plot(
    ctx: typer.Context,
    model: Model,
    number: Annotated[
        int | None, typer.Argument(help="The round's number; without it, the newest ones.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_PLOTTED, help="How many of the newest.")] = 16,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """How long the phases of rounds took, and what became of their updates, as bars: here, or in a PNG file.

    The file needs the extra `notebook` of muster-fl.
    """
    session, path = of(ctx), pictures.checked(out, force)
    if number is not None:
        found = [session.operator.round(model, number)]
    else:
        found = list(islice(session.operator.rounds(model), limit))
    drawn = (figures.time_line(model, found, session.now()), figures.places(model, found))
    if path is not None:
        pictures.png(path, *drawn)
    session.show(found, as_json, lambda: f"wrote {path}: {drawn[0].title}" if path else Group(drawn[0], "", drawn[1]))


@app.command()
def start(
    ctx: typer.Context,
    model: Model,
    rounds: Annotated[int, typer.Option(min=1, help="How many more rounds shall complete.")] = 1,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Let rounds open by themselves, until so many more have completed."""
    session = of(ctx)
    training = session.operator.status(model).training
    wanted = training.rounds_completed + rounds
    if dry_run:
        session.would(starting(model, wanted, rounds), as_json)
        return
    reply = session.operator.start(model, wanted)
    session.show(reply, as_json, lambda: overview.page([reply], session.now()))


@app.command()
def stop(ctx: typer.Context, model: Model, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Open no further round; one that is open goes on to its end."""
    session = of(ctx)
    if dry_run:
        session.would(stopping(session.operator.status(model)), as_json)
        return
    reply = session.operator.stop(model)
    session.show(reply, as_json, lambda: overview.page([reply], session.now()))


@app.command()
def abandon(
    ctx: typer.Context,
    model: Model,
    number: Number = None,
    because: Because = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """End an open round. What is deployed stays deployed."""
    session = of(ctx)
    chosen = number if number is not None else _newest(session.operator.status(model))
    if dry_run:
        session.would(abandoning(session.operator.round(model, chosen)), as_json)
        return
    reply = session.operator.abandon(model, chosen, *([because] if because else []))
    session.show(reply, as_json, lambda: render.round_(reply))


@app.command("export")
def export_(
    ctx: typer.Context,
    round_: Annotated[str, typer.Argument(metavar="ROUND", help="The round's id (digits.12).", show_default=False)],
    folder: Folder,
    as_json: Json = False,
) -> None:
    """Write all that a round's version was made of into a folder: manifest, base, state, each device's update.

    Every file is verified. An export that was interrupted goes on when the command is given again.
    """
    session = of(ctx)
    found = _ROUND.fullmatch(round_)
    if found is None:
        raise typer.BadParameter(f"{round_!r} is not a round's id, such as digits.12", param_hint="ROUND")
    model, number = found[1], int(found[2])
    session.names["model"] = model
    made = recomputing.export_with_progress(session, model, number, folder)
    kept = made.files - made.fetched
    if as_json:
        session.json({
            "round": made.about.round, "version": made.about.version, "folder": str(folder),
            "updates": len(made.manifest.entries), "files": made.files, "bytes": made.nbytes,
            "fetched": made.fetched, "kept": kept,
            "document_sha256": made.about.document_sha256, "manifest_sha256": made.published.manifest_sha256,
        })  # fmt: skip
        return
    there = f", of which {kept} were there" if kept else ""
    session.say(
        f"wrote {made.about.round} to {folder}: {len(made.manifest.entries)} updates; {made.files} files of {made.nbytes} bytes"
        f" in all{there}"
    )
    session.say(f"next  muster round replay {folder}")


@app.command()
def replay(ctx: typer.Context, folder: Folder, as_json: Json = False) -> None:
    """Compute an exported round's version again, without a server, and hold it against what was published.

    Exit status 0 when it has the same SHA-256, 5 when it has another, 4 when a file of the folder is not what was exported.
    """
    session = of(ctx)
    found = recomputing.recompute_with_progress(session, folder)
    if as_json:
        session.json(recomputing.summary(found))
    else:
        recomputing.tell(session, found)
    recomputing.end(found)


def _newest(status: admin.ModelStatus) -> int:
    """The number of the newest round; of a model that never had one, 1, which the server will not know."""
    return status.round.number if status.round else 1
