"""Who may train in a round, and from when (pure).

Devices that come when they are told come in no order: of a fleet that is spread, each is as likely to find a place as another.
Whoever comes more often than it is told, or is only quicker where all come together, would train in every round. So a model may
have its places drawn by lot (`lottery`), as judges are:

       share drawn  1 ┤            ╭─────────────────────────────── everybody
                      │        ╭───╯
    places / waiting  ┼────────╯
                      └────────┬───┬───────────────────────────────┬
                   opened    1/10  1/4                         report_by

A client's lot is made of its id and of what is drawn when the round opens, so no id can be chosen for it, and asking again
changes nothing. At once as many are drawn as there are places, more or less; more, when too few of them come. Those drawn at
once have a place each, also where they are a few more than there are places (`places_drawn`): else the quick would take them.

Before that, in this order, a client may be told that it is

* not of the round's cohort (`not-eligible`): it is told so first, and no lot is drawn for it;
* at rest (`resting`): its update was accepted in one of the last `rest_rounds` rounds, or in `most_often.times` of the last
  `most_often.rounds`;
* not in the state that the round asks for (`not-ready`): charging, idle, on a network that is not metered.

A site, a client that the configuration names, is asked for its state alone: its place waits for it, beside those that are
drawn for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from chalicelib.clients.client import Client
from chalicelib.clients.cohort import belongs
from chalicelib.rounds.devices.lots import drawn_after, lot
from chalicelib.rounds.round import Round
from chalicelib.rounds.round_id import RoundId

HOLD, EVERYBODY = 0.1, 0.25
"""Parts of the time for reports: until the first only those drawn at once may train, from the second on all may."""

SPARE = 2
"""Where fewer than so many times the places wait for them, none is drawn for: all may train at once, and no time is lost."""


@dataclass(frozen=True, slots=True)
class NotNow:
    """A client may not train now."""

    reason: Literal["not-eligible", "resting", "not-ready", "not-drawn"]
    turn: datetime | None = None
    """When its lot is drawn."""
    missing: tuple[str, ...] = ()
    """What it would have to be."""


def not_now(rnd: Round, client: Client, waiting: int, now: datetime) -> NotNow | None:
    """Why a client may not take a place now in a collecting round that it has none in; None when it may.

    What a device does not say of its state, it is not. `waiting` are the clients that wait for the round, as last counted.
    """
    site = client.client_id in rnd.config.sites
    if not site and rnd.rule is not None and not belongs(rnd.rule, client.described):
        return NotNow("not-eligible")
    if not site and is_resting(rnd, client.credited):
        return NotNow("resting")
    if missing := tuple(wanted for wanted in rnd.config.requires if not getattr(client.readiness, wanted, None)):
        return NotNow("not-ready", missing=missing)
    turn = rnd.opened_at if site else turn_to_train(rnd, client.client_id, waiting)
    return NotNow("not-drawn", turn=turn) if now < turn else None


def is_resting(rnd: Round, credited: tuple[str, ...]) -> bool:
    """Whether a client that was credited with these rounds should leave this one to others."""
    counted = [found.number for name in credited if (found := RoundId.parse(name)) and found.model == rnd.model]
    ago = [rnd.number - number for number in counted if number < rnd.number]
    if any(rounds <= rnd.config.rest_rounds for rounds in ago):
        return True
    often = rnd.config.most_often
    return often is not None and sum(rounds < often.rounds for rounds in ago) >= often.times


def places_drawn(rnd: Round, client_id: str, waiting: int) -> int:
    """How many clients there may be in a round, for one that may train: its places; and where they are drawn for, for those who
    are drawn at once, three standard deviations more, which their number exceeds in one round of a thousand.
    """
    places = rnd.open_places
    is_drawn = rnd.config.lottery and waiting >= SPARE * max(1, places)
    if not is_drawn or turn_to_train(rnd, client_id, waiting) > rnd.opened_at:
        return places
    return places + math.ceil(3.0 * math.sqrt(places))


def turn_to_train(rnd: Round, client_id: str, waiting: int) -> datetime:
    """From when on a client may take a place. `waiting` are the clients that wait for the round."""
    places = max(1, rnd.open_places)
    if not rnd.config.lottery or waiting < SPARE * places:
        return rnd.opened_at
    drawn = drawn_after(lot(rnd.salt, client_id), places / waiting, HOLD, EVERYBODY)
    return rnd.opened_at + drawn * (rnd.report_by - rnd.opened_at)
