"""What is confirmed is what was shown: a number that is filled in at the last moment is shown first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from nicegui import Client, run, ui

from muster.console.asking import Asking
from muster.console.intents import Intent
from muster.console.pages.dialogs import Question
from tests.fleet import World

pytestmark = pytest.mark.xdist_group("console")


def test_what_was_filled_in_since_it_was_shown_is_shown_before_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(callback: Callable[..., Any], *arguments: Any) -> Any:
        return callback(*arguments)

    async def ask() -> None:
        with Client(ui.page("/test")) as client:
            question = Question(Asking(world.operator, world.clock), Intent(kind="set-pace", ceiling=5000.0))
            await question._look()
            question._numbers["ceiling"].value = 100.0
            await question._perform()
            assert world.operator.pace().revision == 0
            assert "100 requests a second" in question._would.text
            await question._perform()
            assert world.operator.pace().ceiling == 100.0
        client.delete()

    monkeypatch.setattr(run, "io_bound", at_once)
    asyncio.run(ask())
