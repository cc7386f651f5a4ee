"""Who may judge a candidate: drawn by lot (docs/judging.md).

Whoever judged because it came first would need only to be quick. So each client has a lot, a number between 0 and 1 made of
the candidate's digest and its id: nobody knows it before the candidate is published, so no id can be chosen for it. The share
of lots that are drawn begins at as many clients as are wanted, and grows when too few of them come:

    share drawn  1 ┤                    ╭───────────────── everybody, also those who trained
                   │                ╭───╯
                   │           ╭────╯
    wanted / fleet ┼───────────╯
                   └───────────┬────────┬────────────────┬
           published          1/4      1/2          evaluate_by

Those who come later only fill up what is missing of the judges that decide (`places`): the quick among them must not take what
is left for the slow who were drawn at once.

When a client's turn comes is a function of these alone, and not of who came before. Last come those who trained in the round,
who would judge their own work, where the fleet has others; and those who enrolled after the publication, who could have chosen
their ids.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.clients.client import Client
from chalicelib.rounds.devices.lots import drawn_after, lot
from chalicelib.rounds.round import Round

HOLD, EVERYBODY = 0.25, 0.5
"""Parts of the time for evaluating: until the first only those drawn at once may judge, from the second on all may."""

SPARE = 2
"""A fleet with fewer than so many times the clients that are wanted, besides those who train, is not drawn from: all may judge
at once, and no time is lost."""


def turn(rnd: Round, client: Client, active: int) -> datetime:
    """From when on a client may judge the candidate of an evaluating round.

    `active` are the clients of the model that live, as last counted; 0 when they were not.
    """
    published_at, whole = _window(rnd)
    wanted, others = rnd.judges_wanted, active - rnd.config.goal
    draws = 0 < SPARE * wanted <= others
    if client.enrolled_at > published_at or (draws and str(rnd.id) in client.credited):
        return published_at + EVERYBODY * whole
    if not draws:
        return published_at
    drawn = drawn_after(lot(rnd.published.candidate.sha256, client.client_id), wanted / others, HOLD, EVERYBODY)
    return published_at + drawn * whole


def places(rnd: Round, its_turn: datetime, now: datetime) -> int:
    """How many judges there may be, for a client whose turn has come: all that are wanted, if it was drawn at once, and when
    everybody may judge; in between as many as decide.
    """
    published_at, whole = _window(rnd)
    if its_turn == published_at or now >= published_at + EVERYBODY * whole:
        return rnd.judges_wanted
    return rnd.config.evaluators


def _window(rnd: Round) -> tuple[datetime, timedelta]:
    """When the candidate was published, and the time for judging it."""
    whole = timedelta(seconds=rnd.config.evaluate_seconds)
    return rnd.published.evaluate_by - whole, whole
