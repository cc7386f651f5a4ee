"""The console's share of an update: one look with everything due, the view, and the drawing, without a browser.

What is drawn is what the library would send: the elements that have changed, as JSON.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import httpx
from nicegui import Client, json, ui

from bench.console.stack import ROUNDS, ConsoleStack
from bench.fleet.stack import client_id
from infra.memory.cloud import API
from muster.console.asking import Asking
from muster.console.door import Door
from muster.console.known import Wishes
from muster.console.pages.frame import Frame, Viewing
from muster.console.serving import made
from muster.console.views import alerts, costs, fleet, judges, model, overview, receipts, rounds, version
from muster.operator import Operator

PORT = 8400
"""Of an address at which nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCost:
    """One page, when a minute has passed in the cloud; milliseconds, the medians of several."""

    questions: int
    answering: float
    """Until the API in this process had answered."""
    asking: float
    """The rest of the look: the client, reading, what is known."""
    view: float
    drawing: float
    """The view once more, what is different from before, until what has changed is JSON."""
    sent_bytes: int
    opening: float
    """The same of the whole page, when it is opened, with what is known."""

    @property
    def console(self) -> float:
        """The console's own share."""
        return self.asking + self.drawing

    @property
    def total(self) -> float:
        """From the first question to what is sent."""
        return self.answering + self.console


class TimedApi:
    """The API in this process, and how long it took."""

    def __init__(self, stack: ConsoleStack) -> None:
        self._stack = stack
        self.seconds, self.questions = 0.0, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        began = time.perf_counter()
        try:
            return self._stack.cloud.serve(request)
        finally:
            self.seconds += time.perf_counter() - began
            self.questions += 1


def pages(stack: ConsoleStack) -> Mapping[str, tuple[Wishes, Viewing]]:
    """The pages as `muster.console.pages.routes` has them, of the first model."""
    name = stack.models[0]
    return {
        "overview": (overview.wishes, overview.view),
        "model": (partial(model.wishes, name), partial(model.view, name)),
        "rounds": (partial(rounds.wishes, name), partial(rounds.view, name)),
        "round": (partial(rounds.wishes_of_one, name, ROUNDS), partial(rounds.view_of_one, name, ROUNDS)),
        "receipts": (partial(receipts.wishes, name, ROUNDS, ()), partial(receipts.view, name, ROUNDS, ())),
        "judges": (partial(judges.wishes, name, ROUNDS, ""), partial(judges.view, name, ROUNDS, "")),
        "version": (partial(version.wishes, name, ROUNDS), partial(version.view, name, ROUNDS)),
        "fleet": (fleet.wishes, fleet.view),
        "client": (partial(fleet.wishes_of_one, client_id(0)), partial(fleet.view_of_one, client_id(0))),
        "alerts": (alerts.wishes, alerts.view),
        "cost": (costs.wishes, costs.view),
        "cost of a model": (partial(costs.wishes_of_one, name), partial(costs.view_of_one, name)),
    }


async def updates(stack: ConsoleStack, turns: int) -> dict[str, UpdateCost]:
    """Each page, updated so often."""
    api = TimedApi(stack)
    with httpx.Client(transport=httpx.MockTransport(api)) as http:
        asking = Asking(Operator(API, http=http), stack.cloud.clock)
        inner = made(Door(PORT), asking).app
        async with inner.router.lifespan_context(inner):  # type: ignore[attr-defined]
            return {name: _updated(stack, api, asking, page, turns) for name, page in pages(stack).items()}


def _updated(stack: ConsoleStack, api: TimedApi, asking: Asking, page: tuple[Wishes, Viewing], turns: int) -> UpdateCost:
    wishes, viewing = page
    asking.open("page", wishes)
    asking.look()
    if asking.known.trouble:
        raise RuntimeError(f"the console could not ask: {asking.known.trouble}")
    began = time.perf_counter()
    with Client(ui.page("/bench")) as client:
        frame = Frame(asking, "/", wishes=wishes, viewing=viewing)
    _sent(client)
    opening = time.perf_counter() - began
    turned = [_turn(stack, api, asking, frame, client, page) for _ in range(turns)]
    asking.close("page")
    client.delete()
    answering, looking, view, drawing, sent = (statistics.median(column) for column in zip(*turned, strict=True))
    return UpdateCost(
        questions=api.questions, answering=1000 * answering, asking=1000 * looking, view=1000 * view, drawing=1000 * drawing,
        sent_bytes=round(sent), opening=1000 * opening,
    )  # fmt: skip


def _turn(
    stack: ConsoleStack, api: TimedApi, asking: Asking, frame: Frame, client: Client, page: tuple[Wishes, Viewing]
) -> tuple[float, float, float, float, int]:
    stack.minute()
    asking.hurry()
    api.seconds, api.questions = 0.0, 0
    began = time.perf_counter()
    asking.look()
    looked = time.perf_counter() - began
    began = time.perf_counter()
    page[1](asking.known, asking.now())
    viewed = time.perf_counter() - began
    began = time.perf_counter()
    with client:
        frame.draw()
    sent = _sent(client)
    drawn = time.perf_counter() - began
    return api.seconds, looked - api.seconds, viewed, drawn, sent


def _sent(client: Client) -> int:
    """How many bytes the library would send now; then they are sent."""
    changed = {key: element._to_dict() for key, element in client.outbox.updates.items() if key in client.elements}  # type: ignore[union-attr]
    client.outbox.updates.clear()
    return len(json.dumps(changed))
