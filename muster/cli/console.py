"""`muster console`: a page for operators, on this machine."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.text import Text

from muster.cli.session import Session, of

PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>muster console</title>'
    '<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={link}">'
    '<p><a href="{link}">To the console</a></p></html>\n'
)
"""Leads a browser to the link."""


class NoConsole(Exception):
    """What the console is drawn with is not installed."""


def console(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where it listens on 127.0.0.1; 0 for any port.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open it in a browser: print its link only.")] = False,
) -> None:
    """Serve a page that shows models, rounds, fleet and alerts as they change, on this machine only, until Ctrl-C.

    It signs here, with your credentials, like every other command. Its link opens it once, in one browser. It needs the extra
    `console` of muster-fl.
    """
    try:
        from muster.console.serving import serve
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "muster":
            raise
        raise NoConsole(f"the console needs {missing.name}") from missing
    session = of(ctx)
    with TemporaryDirectory(prefix="muster-console-") as folder:
        serve(session.operator, port, lambda link: _tell(session, link, None if no_open else Path(folder)))


def _tell(session: Session, link: str, folder: Path | None) -> None:
    """Print the link, and open it by way of a file in a folder that nobody else can read: what a browser is started with, all
    users of a machine can see, and one of them might be quicker.
    """
    said = Text(f"console  {link}\nThe link works once. Ctrl-C stops the console.")
    session.console.print(said, highlight=False, soft_wrap=True)  # a link is one line, however narrow the terminal
    if folder is not None:
        page = folder / "console.html"
        page.touch(mode=0o600)
        page.write_text(PAGE.format(link=link), encoding="utf-8")
        webbrowser.open(page.as_uri())
