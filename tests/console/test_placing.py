"""What is the same stays on the page: focus, and what somebody is about to click at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nicegui import Client, ui

from muster.console.intents import Intent
from muster.console.pages.placing import PlacedSpan, PlacedView
from muster.console.views.blocks import Choice, Section, Sentence, Span, View

pytestmark = pytest.mark.xdist_group("console")


@pytest.fixture(autouse=True)
def page() -> Iterator[None]:
    with Client(ui.page("/test")) as client:
        yield
    client.delete()


def view(*choices: Choice) -> View:
    return View(title="Fleet", sections=(Section("", (Sentence("so"),)),), choices=choices)


def bound(ceiling: float, label: str = "Bound") -> Choice:
    return Choice(label, Intent(kind="set-pace", ceiling=ceiling))


def test_a_button_stays_while_its_words_do_and_does_what_it_means_now() -> None:
    chosen: list[Choice] = []
    placed = PlacedView(chosen.append)
    placed.show(view(bound(1.0)))
    (button,) = placed._buttons.default_slot.children
    placed.show(view(bound(2.0)))
    assert placed._buttons.default_slot.children == [button]
    placed._clicked(0)
    assert [choice.intent.ceiling for choice in chosen] == [2.0]
    placed.show(view(bound(2.0, "Bound it"), bound(3.0, "Or so")))
    assert button not in placed._buttons.default_slot.children
    assert len(placed._buttons.default_slot.children) == 2
    placed.show(view())
    placed._clicked(1)
    assert len(chosen) == 1, "what is no choice any more is not done"


def test_words_become_a_link_and_words_again_in_the_same_element() -> None:
    placed = PlacedSpan("td")
    placed.show(Span("digits", tone="bad"))
    assert (placed._outer.text, placed._outer.default_slot.children) == ("digits", [])
    placed.show(Span("digits", "/models/digits", "bad"), "long")
    (link,) = placed._outer.default_slot.children
    assert (placed._outer.text, link.props["href"], link.classes, placed._outer.classes) == (
        "", "/models/digits", ["tone-bad"], ["long"],
    )  # fmt: skip
    placed.show(Span("none"))
    assert (placed._outer.text, placed._outer.default_slot.children, placed._outer.classes) == ("none", [], [])
