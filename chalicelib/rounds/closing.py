"""When a round that collects closes, what it lacks if it does not, and how long what comes then may take (pure)."""

from __future__ import annotations

from datetime import datetime, timedelta

from chalicelib.rounds.counters import places_gone
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round, Summary


def next_phase(rnd: Round, summary: Summary, now: datetime) -> Phase | None:
    """The phase that a collecting round should move to at `now`, or None to keep waiting.

    It closes at the goal; when every place is taken and settled, because nobody else can come; or at the deadline. Reports
    that arrived in time and are still being inspected hold the deadline back, for the grace time at the most. Failures alone
    never end a round early: the next one would meet with them at once, and so would the fleet, round after round. Nor does a
    round close before all of its sites are in it.
    """
    enough = summary.accepted >= rnd.config.quorum and not summary.absent
    exhausted = summary.open == 0 and places_gone(rnd.places, summary.held, summary.given_up) >= rnd.places
    if enough and (summary.accepted >= rnd.config.goal or exhausted):
        return Phase.AGGREGATING
    if now < rnd.report_by and not (exhausted and summary.held >= rnd.places):
        return None
    if summary.reported and now < rnd.report_by + timedelta(seconds=rnd.config.grace_seconds):
        return None
    return Phase.AGGREGATING if enough else Phase.ABANDONED


def inspections_missing(rnd: Round, summary: Summary) -> int:
    """How many more inspections there must be, at least, before a collecting round may close, when a look has counted this."""
    missing = max(rnd.config.goal - summary.accepted, len(summary.absent or ()))
    if places_gone(rnd.places, summary.held, summary.given_up) >= rnd.places:
        missing = min(missing, summary.open)  # nobody else can come: it may close when all have their word
    return max(1, missing)


QUORUM_NOT_REACHED, SITES_MISSING = "quorum-not-reached", "sites-missing"
"""Words with which the reason of a round begins that was abandoned because too few came."""


def lacking(rnd: Round, summary: Summary, outliers: str = "") -> str:
    """What a round lacked that could not close: a word for machines, and for people the rest."""
    came = summary.held + summary.given_up
    found = f"{QUORUM_NOT_REACHED}: {summary.accepted} of {rnd.config.quorum} updates accepted"
    if summary.absent:
        named = ", ".join(summary.absent[:MOST_NAMED]) + (", …" if len(summary.absent) > MOST_NAMED else "")
        found = f"{SITES_MISSING}: {named} ({len(summary.absent)} of {len(rnd.config.sites)}), and {found.partition(': ')[2]}"
    found += outliers
    if came < rnd.places:
        found += f"; {came} clients came for {rnd.places} places"
    if rnd.cohort is not None:
        found += f", of cohort {rnd.cohort}"
    if rnd.config.requires:
        found += f", {' and '.join(rnd.config.requires)}"
    return found


MOST_NAMED = 5
"""Sites that are named where something is said of them."""


def too_long(rnd: Round, now: datetime) -> str | None:
    """Why an aggregating round is abandoned at `now`, or None: it has time left.

    An update lives for a day and what is frozen never changes: what could not be computed in that time never will be.
    """
    since = rnd.frozen.closed_at
    if now < since + timedelta(seconds=rnd.config.aggregate_seconds):
        return None
    return f"aggregation-timed-out: no version after {rnd.config.aggregate_seconds:g} seconds"


def is_unfilled(rnd: Round) -> bool:
    """Whether a round was abandoned because too few came, or not those who had to."""
    return rnd.phase is Phase.ABANDONED and (rnd.reason or "").startswith((QUORUM_NOT_REACHED, SITES_MISSING))
