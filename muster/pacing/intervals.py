"""How long it is between two requests of one device (pure).

                    heartbeats, while training rests              check-ins, while a device waits for a round
    a small fleet   every 15 minutes: it costs nothing            every tick, and all at once: a round fills at once
    a larger one    less often: 1/6 request a second together     as often as a round fills in a tenth of its time
    a huge one      never more than 0.4 of the ceiling            never more than another 0.4 of it

What is left of the ceiling, a fifth, is for those who have a place, for enrolment and for operators. A budget stretches both
intervals by one factor. Whatever is asked for, an interval ends at `LONGEST_SECONDS`: nobody is cut off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MONTH_SECONDS = 730 * 3600.0

LONGEST_WAIT_SECONDS = 86_400.0
"""No device is asked to stay away for longer, and none would (`muster.device.pace`)."""

LONGEST_SECONDS = LONGEST_WAIT_SECONDS / 1.5
"""The longest interval, 16 hours: stretched by half, as it is for one device or another, it is the longest wait."""

SHORTEST_HEARTBEAT_SECONDS = 900.0
"""Between heartbeats of a fleet so small that they cost nothing."""

IDLE_PER_SECOND = 1 / 6
"""What an idle fleet sends together, as long as neither end of its interval is reached: some $2.30 a month."""

HEARTBEAT_SECONDS = 5_400.0
"""The longest between heartbeats that costs nothing to speak of, 16 a day (`MUSTER_HEARTBEAT_SECONDS`)."""

TICK_SECONDS = 60.0
"""The shortest between check-ins (`MUSTER_TICK_SECONDS`)."""

CEILING_PER_SECOND = 5_000.0
"""Half of what API Gateway takes from an account in a region, 10,000 requests a second (Amazon API Gateway: "Quotas for
configuring and running a REST API"): the other half is for whatever else the account does."""

SHARE = 0.4
"""Of the ceiling, for heartbeats, and as much for check-ins of those who wait."""

GIVEN_SHARE = 0.1
"""Of the ceiling: so many places are given in a second at the most. Who has one sends two requests more when it has trained,
and all may do so at once.
"""

STEERED = 2 * SHARE
"""Of a budget, for both."""

SPARE = 1.5
"""So many times the places that a round has come within its filling time."""

FILLED_SECONDS = 600.0
"""A round that has so long to be reported fills within a tick; one that has longer, within as much of its time: a tenth, when
the tick is a minute."""

MEETING_SECONDS = 5.0
"""Within so long a fleet that meets comes, if the ceiling lets it."""

MEETING_SHARE = 0.25
"""Of the interval: what needs longer for a meeting does not meet."""

TURNS_PER_SECOND = 1.0
"""Where more than so many of those who wait ask in a second, a turn that many have at once would bring a crowd."""

MOST_CLIENTS = 10**12
"""What is reckoned with at most, whatever a census says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceRules:
    """What a stack's settings and its operator say."""

    tick_seconds: float = TICK_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    ceiling: float = CEILING_PER_SECOND
    """Requests a second."""
    budget: float | None = None
    """Requests a month; None: the ceiling alone bounds them."""

    @property
    def shortest_heartbeat_seconds(self) -> float:
        """Where settings ask for less than a quarter of an hour, they are obeyed."""
        return min(SHORTEST_HEARTBEAT_SECONDS, self.heartbeat_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundNeed:
    """What a model's rounds need of those who wait for them."""

    waiting: float
    """Clients that wait."""
    places: float
    seconds: float
    """From a round's opening to its deadline."""
    judges: float = 0.0
    """Places to judge its candidate."""
    judge_seconds: float = 0.0
    """From a candidate's publication to its decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """How long it is on average between two requests of one device, in seconds."""

    heartbeat_seconds: float
    waiting_seconds: float
    """Between check-ins of a device that waits; where nobody waits, as between heartbeats."""
    meeting_seconds: float | None = None
    """Those who wait come together, within so long; None: at any time."""
    takes_turns: bool = True
    """Whether so few wait that each may come when its lot is drawn."""


def intervals(rules: PaceRules, clients: float, need: RoundNeed | None = None, heard_within: float | None = None) -> Intervals:
    """The intervals of a device, in a fleet of so many clients.

    `need` is what its model's rounds need, while training runs; `heard_within` is how soon a heartbeat should come because
    of what goes on besides: a rollout, an experiment.
    """
    fleet = _counted(clients)
    least = fleet / (SHARE * rules.ceiling)
    beat = _heartbeat(rules, fleet, least, heard_within)
    if need is None:
        beat = min(beat * _stretch(rules, fleet, 1.0 / beat), LONGEST_SECONDS)
        return Intervals(heartbeat_seconds=beat, waiting_seconds=beat)
    wait = max(rules.tick_seconds, min(_filling(rules, need), _heartbeat(rules, fleet, least, None)), least)
    factor = _stretch(rules, fleet, 1.0 / beat + 1.0 / wait)
    beat, wait = min(beat * factor, LONGEST_SECONDS), min(wait * factor, LONGEST_SECONDS)
    meeting = max(min(MEETING_SECONDS, MEETING_SHARE * wait), least)
    meets = _counted(need.waiting) <= SPARE * need.places and meeting <= MEETING_SHARE * wait
    return Intervals(
        heartbeat_seconds=beat,
        waiting_seconds=wait,
        meeting_seconds=meeting if meets else None,
        takes_turns=_counted(need.waiting) / wait <= TURNS_PER_SECOND,
    )


def places_open(rules: PaceRules, places: int, seconds: float) -> int:
    """How many of so many places may be given until `seconds` after the first could be."""
    return min(places, math.ceil(min(GIVEN_SHARE * rules.ceiling * (1.0 + max(seconds, 0.0)), float(places))))


def serves(rules: PaceRules, clients: float) -> bool:
    """Whether every client may come each `LONGEST_SECONDS`. In a fleet beyond that no bound holds, and nobody is cut off."""
    return rules.ceiling >= least_ceiling(clients) and (rules.budget is None or rules.budget >= least_budget(clients))


def least_ceiling(clients: float) -> float:
    """Requests a second below which a fleet cannot even send its heartbeats."""
    return _counted(clients) / LONGEST_SECONDS / SHARE


def least_budget(clients: float) -> float:
    """The same of a month."""
    return _counted(clients) * MONTH_SECONDS / LONGEST_SECONDS / STEERED


def _counted(clients: float) -> float:
    return min(max(float(clients), 0.0), float(MOST_CLIENTS))


def _heartbeat(rules: PaceRules, fleet: float, least: float, heard_within: float | None) -> float:
    shortest = rules.shortest_heartbeat_seconds
    seconds = min(max(fleet / IDLE_PER_SECOND, shortest), rules.heartbeat_seconds)
    if heard_within is not None:
        seconds = min(seconds, max(heard_within, shortest))
    return max(seconds, least)


def _filling(rules: PaceRules, need: RoundNeed) -> float:
    """The interval at which those who wait fill a round's places in time, and those of its judges."""
    waiting, tick = _counted(need.waiting), rules.tick_seconds
    seconds = tick * max(1.0, need.seconds / FILLED_SECONDS) * waiting / (SPARE * max(1.0, need.places))
    if need.judges <= 0:
        return seconds
    return min(seconds, tick * max(1.0, need.judge_seconds / FILLED_SECONDS) * waiting / (SPARE * max(1.0, need.judges)))


def _stretch(rules: PaceRules, fleet: float, per_second: float) -> float:
    """By how much a budget stretches the intervals of a client that would send so many requests a second. Each client has the
    same part of it, so no model needs to know of another's.
    """
    if rules.budget is None:
        return 1.0
    return max(1.0, fleet * per_second * MONTH_SECONDS / (STEERED * rules.budget))
