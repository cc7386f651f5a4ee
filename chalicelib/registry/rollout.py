"""A rollout, as a revision of the deployments' log has it: a candidate beside the stable version, and who is given it (pure).

A client's place on a line from 0 to 10,000 is always the same within a rollout (`chalicelib.clients.splits`). The first
`share` places are given the candidate, the last `control` places are its control: both report what they measure, the places
between do not. A growing share takes in new places and lets nobody go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chalicelib.instants import Instant
from chalicelib.texts import AS_TEXT, from_text
from muster.wire.admin.strategies import Strategy
from muster.wire.refs import CheckpointRef

ALL = 10_000
"""Places: the whole fleet."""

CONTROLS = 5
"""How many clients of the control there are beside one with the candidate, as far as there are so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What goes on in a model beside what is stable."""

    began: int
    """The revision in which it began: its number."""
    candidate: CheckpointRef
    strategy: Annotated[Strategy, AS_TEXT, from_text(Strategy)]
    """With its guard settled (`Strategy.settled`): how the model is configured meanwhile changes nothing."""
    reached: Instant
    """When it came to this share."""
    since: Instant
    """When this step began: then, or when it was resumed."""
    secret: str = ""
    """Random, and told to nobody: who knew it could choose ids that are given the candidate, and report for all."""
    step: int = 0
    share: int = 0
    """Places that are given the candidate."""
    beneath: int | None = None
    """The revision to which one step of rollback led before it began; None at the end of the history."""
    paused: str | None = None
    """Why nothing goes on; None while it does."""

    @property
    def control(self) -> int:
        """Places at the other end that are the candidate's control."""
        return control_of(self.strategy, self.share)


def control_of(strategy: Strategy, share: int) -> int:
    """How many places are the control of so many with the candidate: as many for each at every step, so that what changes with
    time comes to both alike; and none that a later step gives it to, since a client that has reported one of two versions
    reports no other.
    """
    top = max((share, *shares(strategy)[:-1]))
    return min(CONTROLS * share, (ALL - top) * share // top) if top else 0


def shares(strategy: Strategy) -> tuple[int, ...]:
    """The places that are given the candidate, step by step; the last step is all of them."""
    return (*(round(percent * 100) for percent in strategy.steps), ALL)
