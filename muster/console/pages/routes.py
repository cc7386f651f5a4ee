"""The addresses of the console. What is in them is checked before anything is asked: an address is somebody's input."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nicegui import ui

from muster.console.asking import Asking
from muster.console.known import Wishes
from muster.console.pages.frame import Frame, Viewing
from muster.console.views import alerts, costs, fleet, judges, model, overview, receipts, rounds, version
from muster.console.views.blocks import unknown

STYLE = (Path(__file__).parent / "console.css").read_text(encoding="utf-8")

_MODEL = re.compile(r"[a-z][a-z0-9-]{0,47}")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}")
_VERSION = re.compile(r"0|[1-9][0-9]{0,7}")
_ROUND = re.compile(r"[1-9][0-9]{0,7}")


def register(asking: Asking) -> Callable[[], None]:
    """Make the pages, all of which show what `asking` knows. Returned is what draws the page of a wrong address."""

    def draw(here: str, wishes: Wishes, viewing: Viewing) -> None:
        ui.add_head_html(f"<style>{STYLE}</style>")
        Frame(asking, here, wishes=wishes, viewing=viewing)

    def nowhere() -> None:
        ui.context.client.status_code = 404
        refusal = "There is no such page: the address names what cannot be."
        draw("", lambda _: frozenset(), lambda known, now: unknown("Not found", refusal))

    @ui.page("/")
    def show_overview() -> None:
        draw("/", overview.wishes, overview.view)

    @ui.page("/fleet")
    def show_fleet() -> None:
        draw("/fleet", fleet.wishes, fleet.view)

    @ui.page("/alerts")
    def show_alerts() -> None:
        draw("/alerts", alerts.wishes, alerts.view)

    @ui.page("/cost")
    def show_cost() -> None:
        draw("/cost", costs.wishes, costs.view)

    @ui.page("/models/{name}/cost")
    def show_model_cost(name: str) -> None:
        if _MODEL.fullmatch(name):
            draw("", partial(costs.wishes_of_one, name), partial(costs.view_of_one, name))
        else:
            nowhere()

    @ui.page("/models/{name}")
    def show_model(name: str) -> None:
        if _MODEL.fullmatch(name):
            draw("", partial(model.wishes, name), partial(model.view, name))
        else:
            nowhere()

    @ui.page("/models/{name}/rounds")
    def show_rounds(name: str) -> None:
        if _MODEL.fullmatch(name):
            draw("", partial(rounds.wishes, name), partial(rounds.view, name))
        else:
            nowhere()

    @ui.page("/models/{name}/rounds/{number}")
    def show_round(name: str, number: str) -> None:
        if _MODEL.fullmatch(name) and _ROUND.fullmatch(number):
            chosen = int(number)
            draw("", partial(rounds.wishes_of_one, name, chosen), partial(rounds.view_of_one, name, chosen))
        else:
            nowhere()

    @ui.page("/models/{name}/versions/{number}")
    def show_version(name: str, number: str) -> None:
        if _MODEL.fullmatch(name) and _VERSION.fullmatch(number):
            chosen = int(number)
            draw("", partial(version.wishes, name, chosen), partial(version.view, name, chosen))
        else:
            nowhere()

    @ui.page("/models/{name}/rounds/{number}/receipts")
    def show_receipts(name: str, number: str, state: str = "", reason: str = "", after: str = "") -> None:
        chosen = receipts.chosen(state, reason, after)
        if _MODEL.fullmatch(name) and _ROUND.fullmatch(number) and chosen is not None:
            which = (name, int(number), chosen)
            draw("", partial(receipts.wishes, *which), partial(receipts.view, *which))
        else:
            nowhere()

    @ui.page("/models/{name}/rounds/{number}/judges")
    def show_judges(name: str, number: str, after: str = "") -> None:
        if _MODEL.fullmatch(name) and _ROUND.fullmatch(number) and (not after or _CLIENT.fullmatch(after)):
            which = (name, int(number), after)
            draw("", partial(judges.wishes, *which), partial(judges.view, *which))
        else:
            nowhere()

    @ui.page("/fleet/{client_id}")
    def show_client(client_id: str) -> None:
        if _CLIENT.fullmatch(client_id):
            draw("", partial(fleet.wishes_of_one, client_id), partial(fleet.view_of_one, client_id))
        else:
            nowhere()

    return nowhere
