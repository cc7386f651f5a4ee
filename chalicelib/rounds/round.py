"""A round and its moves.

                    goal, or deadline           published            judged, or time
                    with quorum                                      is up
      open ──▶ COLLECTING ──────────▶ AGGREGATING ──────────▶ EVALUATING ──────────▶ COMPLETED
                    │                      │                      │
                    └──────────────────────┴──────────────────────┴──▶ ABANDONED (reason)

Collecting: clients are admitted, upload, report; uploads are inspected. Aggregating: the manifest is frozen, so all that is
left is arithmetic. Evaluating: the version exists; some clients compare it with the deployed one. An abandoned round leaves
what is served as it was. Every move is one write on the condition that the phase and the fence are still the ones that were
read, and adds one to the fence: a stale actor changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from chalicelib.instants import Instant
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import FrozenConfig, Model, TrainingState
from muster.wire.refs import CheckpointRef


class Phase(StrEnum):
    """Where a round stands."""

    COLLECTING = "collecting"
    AGGREGATING = "aggregating"
    EVALUATING = "evaluating"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.COLLECTING: frozenset({Phase.AGGREGATING, Phase.ABANDONED}),
    Phase.AGGREGATING: frozenset({Phase.EVALUATING, Phase.ABANDONED}),
    Phase.EVALUATING: frozenset({Phase.COMPLETED, Phase.ABANDONED}),
    Phase.COMPLETED: frozenset(),
    Phase.ABANDONED: frozenset(),
}
"""The moves that exist; everything else is a bug."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a round's places, counted from its receipts."""

    assigned: int = 0
    reported: int = 0
    accepted: int = 0
    late: int = 0
    rejected: dict[str, int] | None = None
    """Count by reason."""
    uploaded_bytes: int = 0
    examples: int = 0

    @property
    def open(self) -> int:
        """Places whose outcome is not known yet."""
        return self.assigned + self.reported

    @property
    def places(self) -> int:
        """All places that were given."""
        return self.open + self.accepted + self.late + sum((self.rejected or {}).values())


Desk = Literal["admitted", "judges"]
"""The two counters at which places are given out."""

CHECK_IN = timedelta(seconds=60)
"""Twice as long as a check-in can run (the API's function has 29 s). A place that was taken before has its row by now, or never
gets one.
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one model. Its config is frozen when it opens."""

    model: str
    number: int
    phase: Phase
    fence: int
    config: FrozenConfig
    base: CheckpointRef
    deployed: CheckpointRef
    """What clients were served when it opened, or, once published, when the candidate was made: its rival."""
    deployment_revision: int
    opened_at: Instant
    report_by: Instant
    completed_before: int
    """Rounds of the model that had completed when this one opened."""
    admitted: int = 0
    """Places given, as a hint that is never too low: a repeat may count one twice; receipts are what is true."""
    inspected: int = 0
    """Receipts settled by inspection, as a hint."""
    judges: int = 0
    """Judges admitted, as such a hint; evaluations are what is true."""
    place_mark: str | None = None
    """What whoever took or gave back the last place, at either desk, wrote there: unique, so that its owner is known."""
    place_taken_at: Instant | None = None
    manifest_sha256: str | None = None
    norm_bound: float | None = None
    """Set when it closed: an accepted update with a larger norm is an outlier. None: none is."""
    closed_at: Instant | None = None
    parts_sent_at: Instant | None = None
    parts_stage: int | None = None
    """The stage of the aggregation whose parts were queued then."""
    candidate: CheckpointRef | None = None
    evaluate_by: Instant | None = None
    gain: float | None = None
    was_deployed: bool = False
    reason: str | None = None
    finished_at: Instant | None = None
    summary: Summary | None = None
    """Stored when an ended round was wound up; before that it is counted from the receipts."""

    @property
    def id(self) -> str:
        """What devices call it: `<model>.<number>`."""
        return round_id(self.model, self.number)

    @property
    def places(self) -> int:
        """How many clients may be admitted: the goal times the over-selection, rounded up."""
        return math.ceil(self.config.goal * self.config.over_selection)

    @property
    def judges_wanted(self) -> int:
        """How many clients may judge the candidate, over-selected alike."""
        return math.ceil(self.config.evaluators * self.config.over_selection)

    def places_at(self, desk: Desk) -> int:
        """How many clients may have a place at a desk."""
        return self.places if desk == "admitted" else self.judges_wanted

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to it any more."""
        return not MOVES[self.phase]

    @property
    def completed(self) -> int:
        """Rounds of the model that have completed, this one included."""
        return self.completed_before + (self.phase is Phase.COMPLETED)


def round_id(model: str, number: int) -> str:
    """The name of a model's round."""
    return f"{model}.{number}"


def parse_round_id(text: str) -> tuple[str, int] | None:
    """Model and number of a round's name, or None when it is not one."""
    model, dot, number = text.rpartition(".")
    if not (model and dot and number.isascii() and number.isdigit() and len(number) <= 8):
        return None
    return model, int(number)


def check_move(now: Phase, to: Phase) -> None:
    """Refuse, as a bug, a move that the table does not have."""
    if to not in MOVES[now]:
        raise AssertionError(f"no move from {now} to {to}")


def next_phase(rnd: Round, summary: Summary, now: datetime) -> Phase | None:
    """The phase that a collecting round should move to at `now`, or None to keep waiting.

    It closes at the goal; when every place is taken and settled, because nobody else can come; or at the deadline. Reports
    that arrived in time and are still being inspected hold the deadline back, for the grace time at the most.
    """
    enough = summary.accepted >= rnd.config.quorum
    exhausted = summary.open == 0 and summary.places >= rnd.places
    if summary.accepted >= rnd.config.goal or (exhausted and enough):
        return Phase.AGGREGATING
    if now < rnd.report_by and not exhausted:
        return None
    if summary.reported and now < rnd.report_by + timedelta(seconds=rnd.config.grace_seconds):
        return None
    return Phase.AGGREGATING if enough else Phase.ABANDONED


def too_long(rnd: Round, now: datetime) -> str | None:
    """Why an aggregating round is abandoned at `now`, or None: it has time left.

    An update lives for a day and what is frozen never changes: what could not be computed in that time never will be.
    """
    since = rnd.closed_at or rnd.report_by
    if now < since + timedelta(seconds=rnd.config.aggregate_seconds):
        return None
    return f"aggregation-timed-out: no version after {rnd.config.aggregate_seconds:g} seconds"


def next_base(last: Round | None, deployment: Deployment) -> CheckpointRef:
    """The checkpoint from which a new round starts.

    Training goes on from its own newest version, deployed or not, so that small gains add up. It starts again from the
    deployed version when that version lost too much against it, and when an operator deployed something in the meantime.
    """
    if last is None:
        return deployment.stable
    if deployment.revision > last.deployment_revision and deployment.round != last.number:
        return deployment.stable
    if last.phase is not Phase.COMPLETED or last.candidate is None:
        return last.base
    lost_too_much = last.gain is not None and last.gain < -last.config.max_regression
    return deployment.stable if lost_too_much else last.candidate


def counts_too_many(rnd: Round, desk: Desk, given: int, now: datetime) -> bool:
    """Whether a desk is taken for full though only so many places were `given`, and no check-in is under way any more that
    could still use one: the hint may then be set to what was given.
    """
    if not getattr(rnd, desk) >= rnd.places_at(desk) > given:
        return False
    return rnd.place_taken_at is None or now - rnd.place_taken_at >= CHECK_IN


def completed_rounds(last: Round | None) -> int:
    """How many rounds of a model have completed, by its last one."""
    return last.completed if last else 0


def goes_on(model: Model, last: Round | None) -> bool:
    """Whether training runs and more rounds are to complete."""
    return model.training is TrainingState.RUNNING and completed_rounds(last) < model.rounds_wanted


def open_next(model: Model, last: Round | None, deployment: Deployment, now: datetime) -> Round | None:
    """The round that should open at `now`, or None: training rests, enough rounds completed, or the last is not done."""
    if not goes_on(model, last):
        return None
    if last and (not last.is_terminal or last.summary is None):
        return None
    return Round(
        model=model.name,
        number=last.number + 1 if last else 1,
        phase=Phase.COLLECTING,
        fence=0,
        config=model.config,
        base=next_base(last, deployment),
        deployed=deployment.stable,
        deployment_revision=deployment.revision,
        opened_at=now,
        report_by=now + timedelta(seconds=model.config.report_seconds),
        completed_before=completed_rounds(last),
    )
