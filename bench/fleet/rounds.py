"""A model's rounds, by the server's own rules and moves: what a simulation supplies is who comes, and what becomes of them.

    open_next ──▶ places ──▶ next_phase ──▶ Frozen ──▶ Published ──▶ judges ──▶ is_due ──▶ Decided ──▶ open_next

Aggregating takes a fixed time here. Seconds count from a midnight.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.fleet.vectors import Devices, Flags, Numbers, drawn_after, lots
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.rounds.closing import inspections_missing, next_phase
from chalicelib.rounds.devices import drawing, selection
from chalicelib.rounds.judgement import is_due
from chalicelib.rounds.moves import Abandoned, Decided, Frozen, Phase, Published
from chalicelib.rounds.opening import open_next
from chalicelib.rounds.round import Round, Summary
from muster.pacing.intervals import PaceRules, places_open
from muster.wire.admin import RoundConfig
from muster.wire.refs import CheckpointRef

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
AGGREGATE_SECONDS = 60.0


def instant(seconds: float) -> datetime:
    """So many seconds after that midnight."""
    return MIDNIGHT + timedelta(seconds=seconds)


def checkpoint(version: int) -> CheckpointRef:
    """A checkpoint that nobody reads."""
    return CheckpointRef(
        version=version, sha256=f"{version:064d}", nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000
    )


class Seats:
    """Places, as one function gives them out that remembers what is left in each part: the last one is found as well.
    `bench.fleet.places` counts what many functions do that do not know.
    """

    def __init__(self, places: int) -> None:
        self._taken = 0
        self.places = places

    @property
    def left(self) -> int:
        """Places that nobody has; none is left where a few more were given."""
        return max(0, self.places - self._taken)

    def take(self, most: int) -> bool:
        """Take one of so many places that may be given by now, if there is one left."""
        if self._taken >= most:
            return False
        self._taken += 1
        return True


@dataclass(slots=True, kw_only=True)
class RoundCourse:
    """What became of one round. Seconds since its opening; None: it did not come to that."""

    number: int
    opened_at: float
    filled_after: float | None = None
    """When as many places were taken as the goal has updates."""
    closed_after: float | None = None
    done_after: float | None = None
    accepted: int = 0
    places: int = 0
    """Places to train that were taken."""
    rash: int = 0
    """Places that devices took which ignore the pace."""
    reached: bool = False
    """Whether it reached its goal."""
    reason: str = ""


class SimulatedRounds:
    """The rounds of one model."""

    def __init__(self, config: RoundConfig, seed: int, rules: PaceRules) -> None:
        self._rules = rules
        self._model = Model(name="day", config=config, created_at=MIDNIGHT, training=TrainingState.RUNNING, rounds_wanted=10**6)
        self._dice = random.Random(seed)  # noqa: S311 (dice)
        self._deployed = Deployment(
            model="day", revision=1, stable=checkpoint(0), at=MIDNIGHT, because="created", previous=None
        )
        self.round: Round | None = None
        self.courses: list[RoundCourse] = []
        self._inspected = self._assigned = 0
        self.judged = 0
        self._ready_at = 0.0

    # ---- what the server does

    def look(self, now: float, *, tick: bool) -> None:
        """Do what is due: at a tick, or because enough was inspected that it may be."""
        rnd = self.round
        if rnd is None or rnd.is_terminal:
            if tick:
                self._open(now)
        elif rnd.phase is Phase.COLLECTING:
            if tick or self._inspected >= rnd.inspections_wanted:
                self._close(rnd, now)
        elif rnd.phase is Phase.AGGREGATING:
            if now >= self._ready_at:
                self._publish(rnd, now)
        elif is_due(rnd, self.judged, instant(now)):
            self._decide(rnd, now)

    def _open(self, now: float) -> None:
        fresh = open_next(self._model, self.round, self._deployed, instant(now), salt=f"{self._dice.getrandbits(128):032x}")
        if fresh is None:
            return
        self.round = fresh
        self.seats = Seats(fresh.open_places)
        self._inspected = self._assigned = self.judged = 0
        self.courses.append(RoundCourse(number=fresh.number, opened_at=now))

    def _close(self, rnd: Round, now: float) -> None:
        summary = Summary(assigned=self._assigned - self._inspected, accepted=self._inspected)
        course = self.courses[-1]
        match next_phase(rnd, summary, instant(now)):
            case Phase.AGGREGATING:
                frozen = Frozen(manifest_sha256="0" * 64, norm_bound=None, closed_at=instant(now))
                self.round = rnd.after(frozen)
                self._ready_at = now + AGGREGATE_SECONDS
                course.closed_after, course.accepted = now - course.opened_at, self._inspected
                course.reached = self._inspected >= rnd.config.goal
            case Phase.ABANDONED:
                gone = Abandoned(reason="quorum-not-reached", closed_at=instant(now), finished_at=instant(now), norm_bound=None)
                self._end(rnd.after(gone), summary, now, "quorum-not-reached")
            case _:
                self.round = replace(rnd, look_at=self._inspected + inspections_missing(rnd, summary))

    def _publish(self, rnd: Round, now: float) -> None:
        published = Published(
            candidate=checkpoint(rnd.number),
            deployed=rnd.deployed,
            deployment_revision=1,
            evaluate_by=instant(now + rnd.config.evaluate_seconds),
        )
        self.round = rnd.after(published)
        self.seats = Seats(rnd.judges_wanted)
        if not rnd.config.evaluators:
            self._decide(self.round, now)

    def _decide(self, rnd: Round, now: float) -> None:
        decided = Decided(gain=None, was_deployed=False, reason="simulated", finished_at=instant(now))
        self._end(rnd.after(decided), Summary(accepted=self._inspected), now, "")

    def _end(self, ended: Round, summary: Summary, now: float, reason: str) -> None:
        self.round = replace(ended, summary=summary)
        self.courses[-1].done_after, self.courses[-1].reason = now - self.courses[-1].opened_at, reason
        self._open(now)

    # ---- what devices do

    def seat(self, now: float, client_id: str, waiting: int) -> bool:
        """Give a client that may train a place, if it finds one."""
        since = now - self.courses[-1].opened_at
        places = selection.places_drawn(self._open_round(), client_id, waiting)
        taken = self.seats.take(places_open(self._rules, places, since))
        if taken:
            self._assigned += 1
            course = self.courses[-1]
            course.places += 1
            if course.filled_after is None and self._assigned >= self._model.config.goal:
                course.filled_after = now - course.opened_at
        return taken

    def inspected(self, updates: int, number: int) -> bool:
        """So many updates of a round were inspected; whether that was in time, so that they are accepted."""
        rnd = self.round
        if rnd is None or rnd.number != number or rnd.phase is not Phase.COLLECTING:
            return False
        self._inspected += updates
        return True

    def are_resting(self, credited: Devices) -> Flags:
        """`selection.is_resting`, of clients whose last accepted update was of these rounds, by `rest_rounds` alone."""
        rnd = self._open_round()
        return (credited > 0) & (credited < rnd.number) & (rnd.number - credited <= rnd.config.rest_rounds)

    def turns_to_train(self, names: list[str], waiting: int) -> Numbers:
        """`selection.turn_to_train`, as seconds since midnight."""
        rnd = self._open_round()
        opened, whole = _seconds(rnd.opened_at), (rnd.report_by - rnd.opened_at).total_seconds()
        places = max(1, rnd.open_places)
        if not rnd.config.lottery or waiting < selection.SPARE * places:
            return np.full(len(names), opened)
        found = drawn_after(lots(rnd.salt, names), places / waiting, selection.HOLD, selection.EVERYBODY)
        return opened + found * whole

    def turns_to_judge(self, names: list[str], trained: Flags, enrolled_at: Numbers, active: int) -> Numbers:
        """`drawing.turn`, as seconds since midnight: of clients that enrolled then."""
        rnd = self._open_round()
        whole = rnd.config.evaluate_seconds
        published = _seconds(rnd.published.evaluate_by) - whole
        newer = enrolled_at > published
        wanted, others = rnd.judges_wanted, active - rnd.config.goal
        if not 0 < drawing.SPARE * wanted <= others:
            return published + np.where(newer, drawing.EVERYBODY, 0.0) * whole
        found = drawn_after(lots(rnd.published.candidate.sha256, names), wanted / others, drawing.HOLD, drawing.EVERYBODY)
        return published + np.where(trained | newer, drawing.EVERYBODY, found) * whole

    def judges_given(self, its_turn: float, now: float) -> int:
        """`drawing.places`."""
        return drawing.places(self._open_round(), instant(its_turn), instant(now))

    def _open_round(self) -> Round:
        if self.round is None:
            raise RuntimeError("no round has opened yet")
        return self.round


def _seconds(at: datetime) -> float:
    return (at - MIDNIGHT).total_seconds()
