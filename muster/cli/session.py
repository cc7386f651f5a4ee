"""What every command shares: the connection, the two ways of output, and what a dry run says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.text import Text

from muster.operator.client import Operator

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
WithUrls = Annotated[
    bool,
    typer.Option(
        "--with-urls",
        help="With --json: also the presigned URLs, with which anybody may download for some minutes. Else they are null.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")]
Model = Annotated[str, typer.Argument(help="The model's name.", show_default=False)]
VersionRef = Annotated[
    str,
    typer.Argument(
        help="A number, an id (digits.v7), an alias (champion, challenger), 'newest', or a state: the newest version in it.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="How many to list.")]
Revision = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The deployment revision that you saw: if another was made since, nothing is changed. Without it, the present. "
        "With it, the same command may be sent twice.",
        show_default=False,
    ),
]
Because = Annotated[str | None, typer.Option("--because", help="Why; kept in the history.", show_default=False)]

PIPED_WIDTH = 100_000
"""Columns where no terminal is: whatever reads that gets each row in one line."""


@dataclass
class Session:
    """One run of the command line."""

    connect: Callable[[], Operator]
    """Makes the client, on first use: help needs no server."""
    console: Console = field(default_factory=lambda: _console(stderr=False))
    errors: Console = field(default_factory=lambda: _console(stderr=True))
    profile: str | None = None
    """The AWS profile of those commands that need no server."""
    region: str | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """For how old something is."""
    names: dict[str, Any] = field(default_factory=dict)
    """The running command's arguments, for the hints of errors."""
    _operator: Operator | None = None

    @property
    def operator(self) -> Operator:
        """The server."""
        if self._operator is None:
            self._operator = self.connect()
        return self._operator

    def close(self) -> None:
        """Give the connection back."""
        if self._operator is not None:
            self._operator.close()

    def show(
        self,
        reply: BaseModel | Sequence[BaseModel],
        as_json: bool,
        render: Callable[[], RenderableType],
        *,
        with_urls: bool = False,
    ) -> None:
        """Print a reply, or several, for a machine or for a person. Presigned URLs are keys: they are printed when they are
        asked for.
        """
        if as_json:
            found = (
                reply.model_dump(mode="json") if isinstance(reply, BaseModel) else [r.model_dump(mode="json") for r in reply]
            )
            self.json(found if with_urls else without_urls(found))
        else:
            self.print(render())

    def print(self, page: RenderableType) -> None:
        """Print facts or tables: a word that is longer than a line is left whole."""
        self.console.print(page, highlight=False, crop=False)

    def json(self, value: Any) -> None:
        """Print a value as JSON, as it is: no wrapping, no colours."""
        self.console.out(json.dumps(value, indent=2), highlight=False)

    def say(self, sentence: str, style: str = "") -> None:
        """Print a sentence."""
        self.console.print(Text(sentence, style=style), highlight=False, soft_wrap=True)

    def note(self, sentence: str) -> None:
        """Say something beside a reply, where machines do not read."""
        self.errors.print(Text(f"note  {sentence}", style="yellow"), highlight=False, soft_wrap=True)

    def would(self, what: str, as_json: bool, details: Any = None) -> None:
        """End a dry run."""
        if as_json:
            self.json({"dry_run": True, "would": what, "details": details})
            return
        self.say(f"would {what}")
        if details:
            self.console.print_json(json.dumps(details))
        self.say("dry run: nothing was changed", "dim")


def without_urls(value: Any) -> Any:
    """The same, with null in the place of each presigned URL."""
    match value:
        case dict():
            return {name: without_urls(inner) for name, inner in value.items()}
        case list():
            return [without_urls(inner) for inner in value]
        case str() if "X-Amz-Signature=" in value:
            return None
        case _:
            return value


def of(ctx: typer.Context) -> Session:
    """The session of a command, which from now on knows the command's arguments."""
    session = ctx.find_object(Session)
    if session is None:
        raise AssertionError("a command ran without a session")
    session.names = dict(ctx.params)
    return session


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPED_WIDTH)
