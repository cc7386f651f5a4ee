"""A round, and the rules by which it goes on (`moves` says how).

Collecting: clients are admitted, upload, report; uploads are inspected. Aggregating: the manifest is frozen, so all that is
left is arithmetic. Evaluating: the version exists; some clients compare it with the deployed one. An abandoned round leaves
what is served as it was. Every move adds one to the fence: a stale actor changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated

from chalicelib.clients.cohort import Cohort
from chalicelib.instants import Instant
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import FrozenConfig, Model, TrainingState
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


PLACES_A_PART, MOST_PARTS = 128, 64
"""Places of a round for which it has another partition, and how many it has at the most. A partition takes 1,000 write units a
second, and a client writes six into it: the places of one part are taken in a second, and 64 parts admit 10,000 clients in one.
"""


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
    def is_unfilled(self) -> bool:
        """Whether it was abandoned because too few came, or not those who had to."""
        return self.phase is Phase.ABANDONED and (self.reason or "").startswith((QUORUM_NOT_REACHED, SITES_MISSING))

    @property
    def completed(self) -> int:
        """Rounds of the model that have completed, this one included."""
        return self.completed_before + (self.phase is Phase.COMPLETED)


def places_of(config: RoundConfig) -> int:
    """How many clients a round of this configuration admits."""
    return math.ceil(config.goal * config.over_selection)


def judges_of(config: RoundConfig) -> int:
    """How many clients may judge its candidate."""
    return math.ceil(config.evaluators * config.over_selection)


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


def next_base(last: Round | None, deployment: Deployment, since: Iterable[Deployment] = ()) -> CheckpointRef:
    """The checkpoint from which a new round starts. `since` are the revisions after the one that the last round knew, of which
    `deployment` is the newest.

    Training goes on from its own newest version, deployed or not, so that small gains add up. It starts again from the
    deployed version when that version lost too much against it, when an operator deployed something in the meantime, and when
    something was taken back. That a round's version comes to the clients step by step changes nothing.
    """
    if last is None:
        return deployment.stable
    if deployment.revision > last.deployment_revision and _was_meant_otherwise(deployment, last, since):
        return deployment.stable
    if last.phase is not Phase.COMPLETED or last.candidate is None:
        return last.base
    lost_too_much = last.gain is not None and last.gain < -last.config.max_regression
    return deployment.stable if lost_too_much else last.candidate


def _was_meant_otherwise(deployment: Deployment, last: Round, since: Iterable[Deployment]) -> bool:
    """Whether what was deployed since a round is no consequence of training; what was taken back also counts when something
    else has begun meanwhile.
    """
    if deployment.left or any(one.left for one in since):
        return True
    return deployment.round is None and deployment.stable.version != last.deployed.version


def places_gone(places: int, held: int, given_up: int) -> int:
    """How many of so many places nobody can have any more: those that are held; and, of those that were given up, the ones
    beyond as many as there are places.

    So each place is given twice at the most, on average: what fails on every device, a hyperparameter that none knows, does
    not go through the whole fleet in one round.
    """
    return max(held, held + given_up - places)


def parts_for(config: RoundConfig) -> int:
    """Over how many partitions the rows of a round are spread, by the places that it may give out (`counters` says why)."""
    places = max(places_of(config), judges_of(config))
    return min(MOST_PARTS, math.ceil(places / PLACES_A_PART))


def completed_rounds(last: Round | None) -> int:
    """How many rounds of a model have completed, by its last one."""
    return last.completed if last else 0


def goes_on(model: Model, last: Round | None) -> bool:
    """Whether training runs and more rounds are to complete."""
    return model.training is TrainingState.RUNNING and completed_rounds(last) < model.rounds_wanted


def open_next(
    model: Model,
    last: Round | None,
    deployment: Deployment,
    now: datetime,
    since: Iterable[Deployment] = (),
    cohort: Callable[[str], Cohort] | None = None,
    salt: str = "",
) -> Round | None:
    """The round that should open at `now`, or None: training rests, enough rounds completed, the last is not done, or it opened
    less than `every_seconds` ago.

    `since` are the revisions that the last round did not know; `cohort` reads the one that the model's config names.
    """
    if not goes_on(model, last):
        return None
    if last and (not last.is_terminal or last.summary is None):
        return None
    if last and now < last.opened_at + timedelta(seconds=model.config.every_seconds):
        return None
    among = cohort(model.config.cohort) if cohort and model.config.cohort else None
    return Round(
        model=model.name,
        cohort=among.tag if among else None,
        rule=among.rule if among else None,
        number=last.number + 1 if last else 1,
        phase=Phase.COLLECTING,
        fence=0,
        config=model.config_of_rounds,
        config_revision=model.config_revision,
        base=next_base(last, deployment, since),
        deployed=deployment.stable,
        deployment_revision=deployment.revision,
        opened_at=now,
        report_by=now + timedelta(seconds=model.config.report_seconds),
        completed_before=completed_rounds(last),
        parts=parts_for(model.config),
        salt=salt,
    )
