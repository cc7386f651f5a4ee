"""A terminal without a screen, in which operators' commands are typed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from typer import testing
from typer.main import get_command
from typer.testing import CliRunner

from muster.cli.app import app
from muster.cli.session import Session
from tests.fleet import World

# A command is built from its functions once, and not for every line that is typed: that takes longer than most lines.
testing._get_command = cache(get_command)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Told:
    """What a command came to."""

    exit_code: int
    said: str
    complained: str


class Terminal:
    """Where commands are typed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.runner = CliRunner()

    def __call__(self, line: str, *files: Path) -> Told:
        """Run `muster <line>`; each `{}` is one of the files."""
        words = line.format(*files).split()
        out, err = Output(), Output()
        session = Session(
            lambda: self._world.operator,
            Console(file=out, width=160),
            Console(file=err, width=160, stderr=True),
            now=self._world.clock,
        )
        session.close = lambda: None  # type: ignore[method-assign]
        found = self.runner.invoke(app, words, obj=session)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Told(found.exit_code, out.getvalue(), err.getvalue() + found.output)

    def text(self, line: str, *files: Path) -> str:
        """What a command that succeeds prints."""
        found = self(line, *files)
        assert found.exit_code == 0, found.complained
        return str(found.said)

    def json(self, line: str, *files: Path) -> Any:
        """What it prints for machines."""
        return json.loads(self.text(f"{line} --json", *files))

    def fails(self, line: str, status: int, *files: Path) -> str:
        """What a command that fails complains of."""
        found = self(line, *files)
        assert found.exit_code == status, (found.exit_code, found.said, found.complained)
        return str(found.complained)


class Output(StringIO):
    """A file that is no terminal."""
