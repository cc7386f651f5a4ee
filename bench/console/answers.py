"""The server's share of an update: what the API's function takes for each question of the console, and asks of AWS for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.console.stack import ROUNDS, ConsoleStack
from muster.console.asking import read
from muster.console.known import LOOK_SECONDS, Wish
from muster.wire.admin import NO_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCost:
    """One question."""

    milliseconds: float
    """The median, with what the console reads of the answer."""
    slowest: float
    requests: int
    """To AWS: the most that were seen; fewer where the function remembers."""


def answers(stack: ConsoleStack, turns: int) -> dict[str, AnswerCost]:
    """Each question, asked so often, as often as the console's looks come."""
    return {name: _asked(stack, lambda wish=wish: read(stack.operator, wish), turns) for name, wish in _wishes(stack).items()}  # type: ignore[misc]


def _wishes(stack: ConsoleStack) -> Mapping[str, Wish]:
    model = stack.models[0]
    of_all = {kind: Wish(kind) for kind in ("overview", "statistics", "pace", "clients", "cost")}
    kinds = ("why", "status", "versions", "rounds", "deployments", "objectives", "alerts", "model-cost")
    of_one = {f"{kind} of a model": Wish(kind, model) for kind in kinds}  # type: ignore[arg-type]
    of_one |= {
        "active clients of a model, a day": Wish("active", model),
        "a version": Wish("version", model, str(ROUNDS)),
        "judges of a round": Wish("judges", model, str(ROUNDS)),
        "receipts of a round": Wish("receipts", model, str(ROUNDS)),
    }
    return {**of_all, "alerts of the stack": Wish("alerts", NO_MODEL), **of_one}


def _asked(stack: ConsoleStack, ask: Callable[[], object], turns: int) -> AnswerCost:
    taken, requests = [], []
    for _ in range(turns):
        stack.cloud.clock.advance(LOOK_SECONDS)
        with stack.cloud.calls.count() as operations:
            began = time.perf_counter()
            ask()
            taken.append(1000 * (time.perf_counter() - began))
        requests.append(len(operations))
    return AnswerCost(milliseconds=statistics.median(taken), slowest=max(taken), requests=max(requests))
