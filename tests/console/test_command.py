"""`muster console`, up to where it would serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from muster.operator import Operator
from tests.fleet import World
from tests.operator.terminal import Terminal

ROOT = Path(__file__).parent.parent.parent
LINK = "http://127.0.0.1:8123/open?token=" + "x" * 200


@pytest.fixture
def muster(world: World) -> Terminal:
    return Terminal(world)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was served and opened, instead of serving and opening it."""
    done: list[Any] = []

    def serve(operator: Operator, port: int, tell: Any) -> None:
        done.append((operator, port))
        tell(LINK)

    monkeypatch.setattr("muster.console.serving.serve", serve)
    monkeypatch.setattr("webbrowser.open", lambda uri: done.append(Path(urlsplit(uri).path).read_text()))
    return done


def test_it_serves_with_the_credentials_of_the_session_and_opens_its_link(
    world: World, muster: Terminal, served: list[Any]
) -> None:
    said = muster.text("console --port 8123")
    assert said.splitlines()[0] == f"console  {LINK}", "a link is one line, however long it is"
    asked, written = served
    assert asked == (world.operator, 8123)
    assert f'content="0; url={LINK}"' in written


def test_nobody_else_on_the_machine_can_read_the_link_and_the_file_is_gone_with_the_console(
    muster: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def opened(uri: str) -> None:
        page = Path(urlsplit(uri).path)
        assert "token" not in uri
        seen.extend([page, page.stat().st_mode & 0o777, page.parent.stat().st_mode & 0o777])

    monkeypatch.setattr("muster.console.serving.serve", lambda operator, port, tell: tell(LINK))
    monkeypatch.setattr("webbrowser.open", opened)
    muster.text("console")
    assert seen[1:] == [0o600, 0o700]
    assert not seen[0].exists()


def test_it_opens_no_browser_when_it_is_told_so(world: World, muster: Terminal, served: list[Any]) -> None:
    assert LINK in muster.text("console --no-open")
    assert served == [(world.operator, 0)]


@pytest.mark.parametrize("missing", ["nicegui", "fastapi", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(muster: Terminal, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [name for name in sys.modules if name.startswith("muster.console")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    said = muster.fails("console --no-open", 2)
    assert f"the console needs {missing}" in said
    assert "pip install 'muster-fl[console]'" in said


def test_no_other_command_loads_what_the_console_is_drawn_with() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import muster.cli.app; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"fastapi", "nicegui", "starlette", "uvicorn"}
    assert "muster.console" not in done.stdout.split()


def test_a_port_that_is_taken_is_an_error_and_no_traceback(muster: Terminal) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "in use" in muster.fails(f"console --no-open --port {taken.getsockname()[1]}", 2)
