"""What is printed keeps its words whole, in any terminal, and its rows in one line each where there is none."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from muster.cli.app import app
from muster.cli.layout import Facts, Listing
from muster.cli.session import Session
from muster.device import Device
from tests.fleet import World, checkpoint
from tests.operator.terminal import Output

LINES = (
    "version list toy", "version show toy 1", "round list toy", "round show toy 1", "client list", "client show device-000",
    "token list", "alerts list", "deployment list toy", "threshold list toy", "status toy", "status", "model list",
    "model show toy", "model history toy", "fleet", "cohort list", "metrics query toy accuracy", "client statistics",
    "fleet plan --clients 1000000", "cost", "cost model toy", "cost plan --clients 100 --megabytes 1", "deploy toy 2 --dry-run",
)  # fmt: skip


class Screen(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def a_round(world: World) -> list[Device]:
    """A round has completed, and another version waits."""
    world.model(goal=2, quorum=2, evaluators=1)
    devices = world.devices(2)
    for device in devices:
        device.heartbeat_if_due()
    world.tick()
    world.clock.advance(world.settings.memory_seconds)
    for device in devices:
        world.update(device)
    world.play(devices)
    world.monitor()
    world.operator.register("toy", checkpoint(1.0))
    return devices


def typed(world: World, line: str, console: Console) -> str:
    session = Session(lambda: world.operator, console, Console(file=Output()), now=world.clock)
    session.close = lambda: None  # type: ignore[method-assign]
    assert CliRunner().invoke(app, line.split(), obj=session).exit_code == 0
    file: Any = console.file
    return str(file.getvalue())


def on_a_screen(width: int) -> Console:
    return Console(file=Screen(), width=width, color_system=None, legacy_windows=False)


def piped(monkeypatch: pytest.MonkeyPatch) -> Console:
    """What a session makes by itself when its output is no terminal."""
    monkeypatch.setattr("sys.stdout", StringIO())
    console = Session(lambda: pytest.fail("nobody asked")).console
    console.file = StringIO()
    return console


def test_no_word_is_broken_however_narrow_the_terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.relive(a_round)
    for line in LINES:
        words = {word for word in typed(world, line, piped(monkeypatch)).split() if word.strip("─-")}
        assert words, line
        for width in (40, 60, 80, 120):
            found = set(typed(world, line, on_a_screen(width)).split())
            assert words <= found, (line, width, words - found)


def test_where_no_terminal_is_each_row_is_one_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.relive(a_round)
    table = typed(world, "round list toy", piped(monkeypatch)).splitlines()
    assert len(table) == 2, "the columns' names, and one round with its whole reason"
    assert table[1].endswith("judges found it better, 0 worse (p 0.25)")
    (config,) = (line for line in typed(world, "model show toy", piped(monkeypatch)).splitlines() if line.startswith("config"))
    assert json.loads(config.removeprefix("config"))["goal"] == 2


@pytest.mark.parametrize("width", [40, 60, 80])
def test_json_is_the_same_at_any_width(world: World, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    world.relive(a_round)
    for line in ("version list toy --json", "model show toy --json", "deploy toy 2 --dry-run --json"):
        assert typed(world, line, on_a_screen(width)) == typed(world, line, piped(monkeypatch)), line


def printed(page: object, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width)
    console.print(page, crop=False)
    file: Any = console.file
    return str(file.getvalue()).splitlines()


def test_a_table_that_fits_is_one_and_its_sentences_are_wrapped_before_its_rows_are_laid_out_below_each_other() -> None:
    listing = Listing(["version", "sha256", "why"], [[Text("7"), Text("0a01e66e5e243"), Text("it is the newest of all")]])
    assert printed(listing, 80) == [
        "version  sha256         why",
        "      7  0a01e66e5e243  it is the newest of all",
    ]
    assert printed(listing, 44) == [
        "version  sha256         why",
        "      7  0a01e66e5e243  it is the newest of",
        "                        all",
    ]
    assert printed(listing, 40) == ["version  7", "sha256   0a01e66e5e243", "why      it is the newest of all"]


def test_rows_below_each_other_begin_their_values_in_one_column() -> None:
    listing = Listing(["client", "last seen"], [[Text("a" * 30), Text("-")], [Text("b"), Text("2026-01-01 12:00:00")]])
    assert printed(listing, 30) == [
        f"client     {'a' * 30}", "last seen  -", "", "client     b", "last seen  2026-01-01 12:00:00",
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.text("abc ", max_size=30), st.text("xyz ", max_size=30)), min_size=1, max_size=4),
    st.integers(min_value=1, max_value=70),
)
def test_whatever_is_in_a_table_all_of_its_words_are_there(rows: list[tuple[str, str]], width: int) -> None:
    cells = [[Text(one), Text(other)] for one, other in rows]
    words = [word for row in rows for text in row for word in text.split()]
    found = " ".join(printed(Listing(["why", "id"], cells), width)).split()
    assert sorted(word for word in found if word not in ("why", "id")) == sorted(words)
    facts = " ".join(printed(Facts([("a name", row[0]) for row in cells]), width)).split()
    assert sorted(word for word in facts if word not in ("a", "name")) == sorted(
        word for one, _ in rows for word in one.split() if word != "a"
    )
