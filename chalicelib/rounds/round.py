"""A round (`opening` and `closing` have the rules by which it begins and ends, `moves` says how it goes on).

Collecting: clients are admitted, upload, report; uploads are inspected. Aggregating: the manifest is frozen, so all that is
left is arithmetic. Evaluating: the version exists; some clients compare it with the deployed one. An abandoned round leaves
what is served as it was. Every move adds one to the fence: a stale actor changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated

from chalicelib.instants import Instant
from chalicelib.registry.model import FrozenConfig
from chalicelib.rounds.moves import AFTER_FREEZE, AFTER_PUBLICATION, ENDED, MOVES, Frozen, Move, Phase, Published, members
from chalicelib.rounds.round_id import RoundId
from chalicelib.texts import AS_TEXT, from_text
from muster.wire.admin import RoundConfig
from muster.wire.admin.cohorts import CohortRule
from muster.wire.refs import CheckpointRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What became of a round's places, counted from its receipts."""

    assigned: int = 0
    reported: int = 0
    accepted: int = 0
    late: int = 0
    rejected: dict[str, int] | None = None
    """Count by reason."""
    failed: dict[str, int] | None = None
    """Count by reason: trainings that their clients gave up. Rounds of before have none."""
    in_order: int | None = None
    """Of the late ones, those that had passed inspection: their round did not complete. Rounds of before do not say."""
    judges: int | None = None
    """Judges whose measurements counted; counted when the round is finalised. Rounds of before do not say."""
    judges_failed: dict[str, int] | None = None
    """Count by reason, of judges; counted when the round is finalised."""
    uploaded_bytes: int = 0
    examples: int = 0
    absent: list[str] | None = None
    """Sites of the round without an accepted update."""

    @property
    def open(self) -> int:
        """Places whose outcome is not known yet."""
        return self.assigned + self.reported

    @property
    def held(self) -> int:
        """Places that are somebody's: all that were given but those that were given up."""
        return self.open + self.accepted + self.late + sum((self.rejected or {}).values())

    @property
    def given_up(self) -> int:
        """Places whose clients' training failed."""
        return sum((self.failed or {}).values())


class NotReached(Exception):
    """A round was asked for what it has only in a later phase: a bug."""


class NoSuchMove(Exception):
    """A round was to make a move that does not lead from its phase: a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    abandoned_before: int = 0
    """Rounds in a row that were abandoned just before this one opened."""
    abandoned_because: str | None = None
    """Why the last of them was."""
    config_revision: int = 1
    """The revision of its config (`chalicelib.registry.configuration`)."""
    cohort: str | None = None
    """Whose clients may train, `<name>.<revision>`; None for all."""
    rule: Annotated[CohortRule, AS_TEXT, from_text(CohortRule)] | None = None
    """The cohort's, as it was when the round opened."""
    salt: str = ""
    """Drawn when it opened: who trains in it is drawn from that."""
    parts: int = 1
    """Partitions over which its receipts, its judges' places and its counters are spread (`counters`)."""
    looked_at: Instant | None = None
    """When all receipts were last read while it collected."""
    look_at: int | None = None
    """How many inspections there must be before they could have reached the goal, as that look saw it; None: the goal."""
    resent_at: Instant | None = None
    """When inspections that were silent for too long were last asked for again."""
    so_far: Summary | None = None
    """What that look counted."""
    settled: bool = False
    """Whether every receipt that was there when it closed has had its last word."""
    busy_until: Instant | None = None
    """Until when others leave an aggregation that is quickly done to whoever has begun it."""
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
    called_off: bool = False
    """Whether an operator abandoned it."""
    finished_at: Instant | None = None
    summary: Summary | None = None
    """Stored when an ended round was finalised; before that it is counted from the receipts."""

    @property
    def id(self) -> RoundId:
        """What devices call it."""
        return RoundId(self.model, self.number)

    @property
    def places(self) -> int:
        """How many clients may be admitted: the goal times the over-selection, rounded up."""
        return places_of(self.config)

    @property
    def open_places(self) -> int:
        """Those of its places that are nobody's by name."""
        return max(0, self.places - len(self.config.sites))

    @property
    def inspections_wanted(self) -> int:
        """From how many inspections on it may have reached its goal, or have nobody left to wait for."""
        return min(self.config.goal, self.places) if self.look_at is None else self.look_at

    @property
    def judges_wanted(self) -> int:
        """How many clients may judge the candidate, over-selected alike."""
        return judges_of(self.config)

    def seed_of(self, client_id: str) -> int:
        """What a client's trainer draws from in this round, from 0 to 2⁵³ - 1. It does not depend on the model's name, so that
        another model of the same configuration can repeat the run.
        """
        drawn = sha256(f"{self.config.seed}/{self.number}/{client_id}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") >> 11

    def __post_init__(self) -> None:
        """What a phase promises is there: a row without it is not one of ours, and cannot be read."""
        promised = {"manifest_sha256": AFTER_FREEZE, "candidate": AFTER_PUBLICATION, "evaluate_by": AFTER_PUBLICATION}
        for name, phases in promised.items():
            if self.phase in phases and getattr(self, name) is None:
                raise ValueError(f"expected a {name} of a round that is {self.phase}, got none")

    @property
    def frozen(self) -> Frozen:
        """What its manifest says. Every round has one that is aggregating, evaluating or completed.

        Raises:
            NotReached: it was abandoned before, or still collects.
        """
        if self.manifest_sha256 is None:
            raise NotReached(f"round {self.id} is {self.phase} and has no manifest")
        closed_at = self.closed_at or self.report_by
        return Frozen(manifest_sha256=self.manifest_sha256, norm_bound=self.norm_bound, closed_at=closed_at)

    @property
    def published(self) -> Published:
        """What is judged. Every round has it that is evaluating or completed.

        Raises:
            NotReached: it was abandoned before, or has yet to publish.
        """
        if self.candidate is None or self.evaluate_by is None:
            raise NotReached(f"round {self.id} is {self.phase} and has published nothing")
        return Published(
            candidate=self.candidate,
            deployed=self.deployed,
            deployment_revision=self.deployment_revision,
            evaluate_by=self.evaluate_by,
        )

    def after(self, move: Move) -> Round:
        """The round as it is once this move is made.

        Raises:
            NoSuchMove: no such move leads from its phase.
        """
        before, phase = MOVES[type(move)]
        if self.phase not in before:
            raise NoSuchMove(f"round {self.id} is {self.phase}; {type(move).__name__} leads from {' or '.join(sorted(before))}")
        return replace(self, phase=phase, fence=self.fence + 1, **members(move))

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.phase in ENDED

    @property
    def completed(self) -> int:
        """Rounds of the model that have completed, this one included."""
        return self.completed_before + (self.phase is Phase.COMPLETED)

    @property
    def abandoned_in_a_row(self) -> int:
        """Rounds of the model that were abandoned since the last one completed, this one included."""
        if self.phase is Phase.COMPLETED:
            return 0
        return self.abandoned_before + (self.phase is Phase.ABANDONED)


def places_of(config: RoundConfig) -> int:
    """How many clients a round of this configuration admits."""
    return math.ceil(config.goal * config.over_selection)


def judges_of(config: RoundConfig) -> int:
    """How many clients may judge its candidate."""
    return math.ceil(config.evaluators * config.over_selection)
