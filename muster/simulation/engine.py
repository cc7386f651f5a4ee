"""Lets a run happen: one event after the other, in the order of their times.

    turn ──▶ heartbeat, check in ──▶ wait ───────────────────────────────▶ turn
                  ├──▶ train   a worker begins at once ··▶ delivery ──────▶ turn
                  ├──▶ judge   the same                ··▶ judgement ─────▶ turn
                  └──▶ vanish  and is not heard of before the round is over

While one device's training is awaited, the workers compute those of others that have begun. By a simulated clock nothing
depends on how long they take.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from muster.device.errors import TrainerFailed
from muster.device.pace import bounded
from muster.device.trainer import Trainer, TrainingContext
from muster.http.errors import Refused
from muster.simulation.app import App
from muster.simulation.errors import Stuck
from muster.simulation.fleet import Awaited, SimulatedDevice, enrolled
from muster.simulation.hostile import spoilt
from muster.simulation.outcome import SimulatedRound, SimulationOutcome
from muster.simulation.place import SimulatedPlace
from muster.simulation.plan import SimulationPlan
from muster.simulation.workers import Workers
from muster.wire import messages as wire
from muster.wire.admin import RoundConfig, RoundReply
from muster.wire.arrays import decode
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES

if TYPE_CHECKING:
    from muster.operator import Operator

JUDGING_SHARE = 0.2
"""Of the time that a training takes."""

MOST_ROUNDS = 3
"""Rounds that may end for each one wanted: some may be abandoned, but not for ever."""


class Engine:
    """One run. `tell` is called with each round that has ended."""

    def __init__(
        self,
        app: App,
        plan: SimulationPlan,
        *,
        config: RoundConfig,
        first: bytes,
        judge: Trainer,
        place: SimulatedPlace,
        operator: Operator,
        workers: Workers,
        folder: Path,
        model: str,
        tell: Callable[[SimulatedRound], None] = lambda rnd: None,
    ) -> None:
        """`first` is the first checkpoint; `judge` measures every version on what no device holds."""
        self._plan = plan
        self._config = config
        self._first = first
        self._judge = judge
        self._place = place
        self._operator = operator
        self._workers = workers
        self._folder = folder
        self._model = model
        self._names = "" if model == app.name else f"{model}-"
        """Put before the ids of devices: another model's in the same cloud have the plain ones."""
        self._tell = tell
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._versions: dict[str, Path] = {}
        self._ended: list[SimulatedRound] = []
        self._dropped: defaultdict[str, set[int]] = defaultdict(set)
        """Of each round, the devices that disappeared from it."""
        self._give_up_at = 0.0

    def run(self) -> SimulationOutcome:
        """Create the model, enrol the devices, and let rounds happen until enough have completed.

        Raises:
            Stuck: a round does not end, or too many are abandoned.
            TrainerFailed: a trainer threw, or returned what cannot be sent.
            Refused: the server refuses the model, or a device that is not hostile.
        """
        started = time.monotonic()
        measured = self._measured(self._first)
        if self._config.metric.name not in measured:
            told = ", ".join(sorted(measured)) or "nothing"
            raise TrainerFailed(f"the metric that decides is {self._config.metric.name}, and the trainer measures {told}")
        plan, model = self._plan, self._model
        self._operator.create_model(model, self._first, self._config)
        token = self._operator.mint_token(plan.clients, label="simulation", models=[model]).token
        fleet = enrolled(self._place, plan, token=token, model=model, folder=self._folder, names=self._names)
        self._operator.start(model, plan.rounds)
        for one in fleet:
            self._at(0.0, partial(self._turn, one))
        self._at(0.0, self._look)
        self._be_patient()
        try:
            while self._completed < plan.rounds:
                moment, _, act = heapq.heappop(self._events)
                self._place.wait_until(moment)
                act()
        finally:
            for one in fleet:
                one.device.close()
        seconds = time.monotonic() - started
        return self._outcome(measured, self._at_home(fleet), seconds)

    # ---- devices

    def _turn(self, one: SimulatedDevice) -> None:
        one.device.heartbeat_if_due()
        assignment = one.device.check_in()
        if isinstance(assignment, wire.Wait):
            self._at(bounded(assignment.retry_after_seconds), partial(self._turn, one))
            return
        if isinstance(assignment, wire.EvaluateAssignment):
            context = self._context(one, assignment)
            versions = [self._version(which) for which in (assignment.deployed, assignment.candidate)]
            measuring = [self._workers.evaluate(one.number, version, context) for version in versions]
            self._at(
                self._place.training_seconds * JUDGING_SHARE,
                partial(self._judged, one, assignment, Awaited(measuring=measuring)),
            )
            return
        if one.vanishes(assignment.round, self._plan.seed, self._plan.dropout):
            self._dropped[assignment.round].add(one.number)
            self._at(self._config.report_seconds / 2, partial(self._turn, one))
            return
        training = self._workers.train(
            one.number, self._version(assignment.base), assignment.hyperparameters, self._context(one, assignment)
        )
        self._at(one.training_seconds, partial(self._delivered, one, assignment, Awaited(training=training)))

    def _delivered(self, one: SimulatedDevice, assignment: wire.TrainAssignment, trainer: Awaited) -> None:
        try:
            if one.hostile:
                self._attack(one, assignment, trainer)
            else:
                one.device.take_part(assignment, trainer)
        except Refused as refused:
            if not one.hostile and refused.problem is not Problem.ROUND_CLOSED:
                raise
        self._place.settle()
        self._turn_again(one)

    def _attack(self, one: SimulatedDevice, assignment: wire.TrainAssignment, trainer: Awaited) -> None:
        base = decode(self._version(assignment.base).read_bytes(), HEADER_LIMIT_BYTES)
        result = trainer.train(base, assignment.hyperparameters)
        update, examples = spoilt(self._plan.hostile_kind, base, result, int(one.dice.integers(2**32)))
        one.device.submit(assignment.round, update, examples, {})

    def _judged(self, one: SimulatedDevice, assignment: wire.EvaluateAssignment, trainer: Awaited) -> None:
        try:
            one.device.judge(assignment, trainer)
        except Refused as refused:
            if refused.problem is not Problem.ROUND_CLOSED:
                raise
        self._place.settle()
        self._turn_again(one)

    def _turn_again(self, one: SimulatedDevice) -> None:
        self._at(0.0, partial(self._turn, one))

    def _context(self, one: SimulatedDevice, assignment: wire.TrainAssignment | wire.EvaluateAssignment) -> TrainingContext:
        """A place as a trainer is told of it, but without a deadline: the workers' time is not the simulation's."""
        return replace(one.device.context(assignment), report_by=None, seconds_left=None)

    # ---- rounds

    def _look(self) -> None:
        """Tell of the next round if it has ended, and every place in it is settled."""
        number = len(self._ended) + 1
        status = self._operator.status(self._model)
        rnd = status.round
        if rnd and rnd.number > number:
            rnd = self._operator.round(self._model, number)
        if rnd and rnd.number == number and rnd.finished_at and not rnd.reported and self._is_over(rnd):
            self._ended.append(self._figures(rnd))
            self._tell(self._ended[-1])
            self._be_patient()
            if number >= MOST_ROUNDS * self._plan.rounds:
                raise Stuck(f"{number} rounds have ended, and only {self._completed} completed; the last: {rnd.reason}")
            self._at(0.0, self._look)
            return
        if self._place.now() > self._give_up_at:
            known = rnd.model_dump_json(exclude_none=True) if rnd else "it has not opened"
            raise Stuck(f"round {number} has not ended: {known}")
        self._at(self._place.look_seconds, self._look)

    @property
    def _completed(self) -> int:
        return sum(rnd.phase == "completed" for rnd in self._ended)

    def _is_over(self, rnd: RoundReply) -> bool:
        """Whether every place in it is settled; of those that disappear the server hears nothing before the deadline."""
        return not rnd.assigned or bool(self._plan.dropout)

    def _be_patient(self) -> None:
        """Give the next round as long as its deadlines are, and what the place asks for."""
        config = self._config
        longest = config.report_seconds + config.grace_seconds + config.evaluate_seconds
        self._give_up_at = self._place.now() + longest + self._place.patience_seconds

    def _figures(self, rnd: RoundReply) -> SimulatedRound:
        metrics: Mapping[str, float] = {}
        sha256 = None
        if rnd.version is not None:
            version = self._operator.version(self._model, rnd.version)
            sha256 = version.checkpoint.sha256
            metrics = self._measured(self._version(version.checkpoint).read_bytes())
        opened, finished = rnd.opened_at, rnd.finished_at
        return SimulatedRound(
            number=rnd.number, phase=rnd.phase, goal=self._config.goal, accepted=rnd.accepted, rejected=rnd.rejected,
            late=rnd.late, dropped=len(self._dropped[rnd.round]), uploaded_bytes=rnd.uploaded_bytes,
            seconds=(finished - opened).total_seconds() if finished and opened else 0.0,
            version=rnd.version, sha256=sha256, metrics=metrics, gain=rnd.gain, deployed=rnd.deployed, reason=rnd.reason,
        )  # fmt: skip

    # ---- versions

    def _version(self, checkpoint: wire.Checkpoint) -> Path:
        """A version's file, downloaded once for all."""
        if checkpoint.sha256 not in self._versions:
            path = self._folder / f"{checkpoint.sha256}.safetensors"
            path.write_bytes(self._operator.download(checkpoint))
            self._versions[checkpoint.sha256] = path
        return self._versions[checkpoint.sha256]

    def _measured(self, checkpoint: bytes) -> Mapping[str, float]:
        """Metrics of a checkpoint on what no device holds."""
        return dict(self._judge.evaluate(decode(checkpoint, HEADER_LIMIT_BYTES)).metrics)

    def _at_home(self, fleet: Sequence[SimulatedDevice]) -> dict[str, float]:
        """What the newest version is worth to those who hold the data, and parts of the model of their own."""
        newest = self._version(self._operator.version(self._model, "newest").checkpoint)
        measuring = []
        for one in fleet:
            folder = self._folder / one.device.client_id / f"{self._model}.training"
            context = TrainingContext(round=f"{self._model}.{len(self._ended)}", seed=self._plan.seed, folder=folder)
            measuring.append(self._workers.evaluate(one.number, newest, context))
        metric = self._config.metric
        found = sorted(future.result().metrics[metric.name] for future in measuring)
        worst = found if metric.direction == "higher" else found[::-1]
        return {"mean": sum(found) / len(found), "worst": worst[0], "tenth": worst[len(worst) // 10]}

    def _outcome(self, first: Mapping[str, float], local: dict[str, float], seconds: float) -> SimulationOutcome:
        deployed = self._operator.version(self._model, "deployed")
        newest = self._operator.version(self._model, "newest")
        return SimulationOutcome(
            model=self._model, metric=self._config.metric.name, plan=self._plan, goal=self._config.goal, first=first,
            rounds=tuple(self._ended), deployed_version=deployed.version, deployed_sha256=deployed.checkpoint.sha256,
            newest_version=newest.version, newest_sha256=newest.checkpoint.sha256, local=local, seconds=seconds,
        )  # fmt: skip

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen so many seconds from now; what is due at the same time, in the order in which it was said."""
        heapq.heappush(self._events, (self._place.now() + seconds, next(self._order), act))
