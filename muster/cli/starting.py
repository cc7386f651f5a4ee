"""`muster init`: a project to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muster.cli.session import of
from muster.project.writing import KINDS, start


def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    kind: Annotated[str, typer.Option(help=f"What it trains with: {', '.join(KINDS)}.")] = "torch",
    name: Annotated[str | None, typer.Option(help="The model's name, if not the folder's.", show_default=False)] = None,
) -> None:
    """Begin a project: an app, a device, a test, a README. It runs as it is, and is meant to be changed."""
    session = of(ctx)
    for path in start(folder, name or folder.resolve().name.lower().replace("_", "-"), kind):
        session.say(f"wrote {path}")
    session.say(f"\nnext  cd {folder} && muster simulate federated.py --clients 20 --rounds 5", "bold")
