"""What the commands share that compute a version again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from muster.cli import render
from muster.cli.errors import DIFFERENT
from muster.cli.session import Session
from muster.operator.export import Exported, export
from muster.operator.recompute import Recomputed, recompute


def export_with_progress(session: Session, model: str, number: int, folder: Path) -> Exported:
    """Export a round; where a person looks on, say how far it is."""
    with session.errors.status(f"exporting {model}.{number}") as status:
        return export(
            session.operator,
            model,
            number,
            folder,
            lambda done, total: status.update(f"exporting {model}.{number}: {done} of {total} updates"),
        )


def recompute_with_progress(session: Session, folder: Path) -> Recomputed:
    """Compute an exported version again; where a person looks on, say that it takes its time."""
    with session.errors.status("checking every file, and computing the version again"):
        return recompute(folder)


def tell(session: Session, found: Recomputed) -> None:
    """Print both digests of everything, and the verdict."""
    manifest, published = found.manifest, found.published
    session.say(
        f"{published.model}.v{published.version}, computed again from version {manifest.base.version} and "
        f"{len(manifest.entries)} updates of round {manifest.round} ({manifest.aggregator.name}, {manifest.optimizer.name})"
    )
    session.say(f"document {found.about.document_sha256}")
    session.print(render.compared(found.compared))
    if found.equal:
        session.say("equal: these updates and this base make the published version", "green")
    else:
        session.say("DIFFERENT: these updates and this base do not make the published version", "bold red")


def summary(found: Recomputed) -> dict[str, Any]:
    """The same for machines."""
    return {
        "round": found.manifest.round,
        "version": found.published.version,
        "equal": found.equal,
        "document_sha256": found.about.document_sha256,
        "updates": len(found.manifest.entries),
        "compared": {one.name: {"published": one.published, "recomputed": one.recomputed} for one in found.compared},
    }


def end(found: Recomputed) -> None:
    """End the command with a status of its own when the version is another one."""
    if not found.equal:
        raise typer.Exit(DIFFERENT)
