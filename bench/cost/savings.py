"""What devices ask for by default, beside the same before the server steered them: a table of `docs/scale.md`.

`python -m bench.cost.savings` prints it. Before, a device sent a heartbeat every 15 minutes, and asked for work once a minute
while its model trained. What is now `muster fleet plan` computes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from chalicelib.rounds.round import judges_of, places_of
from muster.pacing.intervals import Intervals, PaceRules
from muster.pacing.planning import RequestLoad, Rounds, beating, in_rounds, plan
from muster.wire.admin import RoundConfig

BEFORE = Intervals(heartbeat_seconds=900.0, waiting_seconds=60.0)

SIZES = ((10**3, 50), (10**5, 1_000), (10**6, 10_000))
"""Clients, and the goal of their rounds."""

APART = {"at rest": None, "a round an hour": 3600.0, "one round after another": 0.0}
"""Seconds from one opening to the next at the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """Of a fleet that does something."""

    clients: int
    goal: int
    does: str
    before: RequestLoad
    now: RequestLoad

    @property
    def times(self) -> float:
        """So many times as much was asked for."""
        return self.before.per_second / self.now.per_second


def savings() -> list[Saving]:
    """Of all sizes, at rest and in training."""
    return [_saving(clients, goal, does) for (clients, goal), does in product(SIZES, APART)]


def _saving(clients: int, goal: int, does: str) -> Saving:
    config, apart = RoundConfig(goal=goal, quorum=1), APART[does]
    rounds = Rounds(
        places=places_of(config), judges=judges_of(config), report_seconds=config.report_seconds, every_seconds=apart or 0.0
    )
    planned = plan(PaceRules(), clients, rounds)
    before = beating(clients, BEFORE) if apart is None else in_rounds(clients, BEFORE, rounds)
    now = planned.resting if apart is None else planned.in_training
    return Saving(clients=clients, goal=goal, does=does, before=before, now=now)


def table() -> str:
    """Markdown: requests of a device in a day, and what all of them cost a month."""
    head = "| clients, goal | | requests a device and day, before | now | dollars a month, before | now | a part |"
    lines = [head, "|--:|---|--:|--:|--:|--:|--:|"]
    for one in savings():
        each = (load.per_day_of_each(one.clients) for load in (one.before, one.now))
        cells = [*(f"{requests:,.0f}" for requests in each)]
        cells += [f"{load.dollars_per_month:,.0f}" for load in (one.before, one.now)]
        lines.append(f"| {one.clients:,}, {one.goal:,} | {one.does} | {' | '.join(cells)} | 1/{one.times:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
