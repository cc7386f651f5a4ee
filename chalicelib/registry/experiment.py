"""An experiment, as a revision of the deployments' log has it: arms beside the stable version, and who is in it (pure).

A client of its cohort has a place on a line from 0 to 10,000 that is always the same within an experiment; each arm has a
stretch of it, as long as its weight.

    place 0                    5,000                 10,000
          ├──── control: v3 ─────┼──── new: v7 ────────┤
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from chalicelib.instants import Instant
from chalicelib.texts import AS_TEXT, from_text
from muster.wire.admin.cohorts import CohortRule
from muster.wire.deciding import DecidingMetric
from muster.wire.refs import CheckpointRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentArm:
    """One version, and how many places are given it."""

    name: str
    checkpoint: CheckpointRef
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Two or more versions at once. The first arm is the control."""

    name: str
    began: int
    """The revision in which it began."""
    since: Instant
    arms: tuple[ExperimentArm, ...]
    metric: Annotated[DecidingMetric, AS_TEXT, from_text(DecidingMetric)]
    level: float
    least: int
    secret: str
    """Random, and told to nobody: who knew it could choose ids that are given one arm."""
    cohort: str | None = None
    """`<name>.<revision>`; None for all clients."""
    rule: Annotated[CohortRule, AS_TEXT, from_text(CohortRule)] | None = None
    """The cohort's, as it was then."""
    horizon: Instant | None = None
    """When it ends by itself, and is looked at once; None when an operator ends it, and it may be looked at at any time."""
    beneath: int | None = None
    """The revision to which one step of rollback led before any of those that go on began; None at the end of the history."""

    @property
    def control(self) -> ExperimentArm:
        """What the other arms are compared with."""
        return self.arms[0]

    @property
    def wish(self) -> tuple[object, ...]:
        """What was wanted, whenever and by whom: all but what was drawn and what time it was."""
        arms = tuple((arm.name, arm.checkpoint, arm.weight) for arm in self.arms)
        seconds = self.horizon and (self.horizon - self.since).total_seconds()
        return (self.name, self.began, arms, self.metric, self.level, self.least, self.cohort, self.rule, seconds)
