"""The question before something is done: what it would do, the command that does the same, and a reason for the history."""

from __future__ import annotations

from dataclasses import replace

from nicegui import run, ui

from muster.console.asking import Asking
from muster.console.doing import foresee, perform
from muster.console.intents import (
    LONGEST_REASON,
    NUMBERS,
    TITLES,
    WITH_REASON,
    Intent,
    NumberField,
    about,
    command,
    filled_in,
)
from muster.console.pages.placing import text
from muster.console.saying import EXPECTED, sentence


async def confirm(asking: Asking, intent: Intent) -> None:
    """Show what would be done, and do it if the operator says so. Nothing is done before that."""
    await Question(asking, intent).ask()


class Question:
    """One dialog, from the click to what came of it."""

    def __init__(self, asking: Asking, intent: Intent) -> None:
        self._asking = asking
        self._intent = intent
        with ui.dialog() as self._dialog, ui.card().classes("question"):
            title = f"{TITLES[intent.kind]}: {about(intent)}"
            self._dialog.props["aria-label"] = title
            text("h2", title)
            self._would = text("p", "Asking the server what this would do …")
            self._would.props["role"] = "status"
            self._numbers = {asked.member: self._number(asked) for asked in NUMBERS.get(intent.kind, ())}
            self._why: ui.input | None = None
            if intent.kind in WITH_REASON:
                self._why = ui.input("Why (kept in the history)", on_change=self._show_command)
                self._why.props["maxlength"] = str(LONGEST_REASON)
            text("p", "The same as a command:", "label")
            self._command = text("code", command(intent))
            with ui.element("div").classes("choices"):
                self._cancel = text("button", "Cancel")
                self._cancel.props["type"] = "button"
                self._cancel.on("click", self._dialog.close, args=[])
                self._do = text("button", TITLES[intent.kind], "grave")
                self._do.props["type"] = "button"
                self._do.props["disabled"] = True
                self._do.on("click", self._perform, args=[])

    async def ask(self) -> None:
        """Open it, show what would be done, and wait until it is closed."""
        self._dialog.open()
        await self._look()
        await self._dialog
        if not self._dialog.is_deleted:  # as it is when its page was closed meanwhile
            self._dialog.delete()

    async def _look(self) -> None:
        wanted = self._said()
        self._do.props["disabled"] = True
        try:
            found = await run.io_bound(foresee, self._asking.operator, wanted)
        except EXPECTED as error:
            self._would.text = sentence(error)
            self._would.classes(replace="tone-bad")
            return
        if found is None:  # the console is about to end
            return
        self._intent = found.intent
        self._would.text = found.sentence
        self._would.classes(replace="")
        self._do.props.pop("disabled", None)
        self._show_command()

    async def _perform(self) -> None:
        self._do.props["disabled"] = True
        intent = self._said()
        if intent != replace(self._intent, because=intent.because):  # filled in since it was last shown what it would do
            await self._look()
            return
        try:
            done = await run.io_bound(perform, self._asking.operator, intent)
        except EXPECTED as error:
            self._would.text = f"Nothing was changed. {sentence(error)}"
            self._would.classes(replace="tone-bad")
            return
        finally:
            self._asking.hurry()
        ui.notify(done, type="positive", position="bottom", timeout=6000)
        self._dialog.close()

    def _number(self, asked: NumberField) -> ui.number:
        drawn = ui.number(
            asked.label, value=getattr(self._intent, asked.member), min=asked.least, max=asked.most,
            precision=0 if asked.is_whole else None,
        )  # fmt: skip
        drawn.on("change", self._look, args=[])
        return drawn

    def _said(self) -> Intent:
        """The intent as the operator has filled it in, within its bounds."""
        numbers = {member: drawn.value for member, drawn in self._numbers.items()}
        return filled_in(self._intent, numbers, (self._why.value or "") if self._why else "")

    def _show_command(self) -> None:
        self._command.text = command(self._said())
