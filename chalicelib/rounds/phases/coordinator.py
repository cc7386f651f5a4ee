"""Reconciles one model: open, advance, finalise, until nothing is due.

To reconcile carries no meaning of its own: it reads what is stored and does what is due, and each thing it does ends in one
conditional write. So it is idempotent, and may happen twice, at once, late, and on anybody's word: the tick's, or that of a
worker that thinks that something may be due. What is left undone is done the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from chalicelib import metering
from chalicelib.clients.cohort import Cohort
from chalicelib.instants import Clock
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.advancing import Rollouts
from chalicelib.rounds.budget import Budgets
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.opening import goes_on, open_next
from chalicelib.rounds.phases.settling import Settling
from chalicelib.rounds.phases.sweeping import Sweeper
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.queues import Queue
from chalicelib.storage.rows import Unreadable
from chalicelib.vitals import Newest, Vitals

STEPS = 8
"""Steps that are taken at once. A whole round and the opening of the next are five; more would be a loop."""


@dataclass(frozen=True, slots=True)
class TickWork:
    """Something to be done."""

    model: str | None
    """None: it is for the stack."""
    doing: str
    """How a failure says what was being done."""
    run: Callable[[], object]


class PhaseWork(Protocol):
    """One phase's work."""

    def advance(self, rnd: Round) -> Round | None:
        """Do what is due, and return the round after its move; None when there was nothing to do, or no race to win."""
        ...


class Coordinator:
    """Advances rounds."""

    def __init__(
        self,
        *,
        rounds: RoundStore,
        registry: RegistryStore,
        settling: Settling,
        phases: dict[Phase, PhaseWork],
        rollouts: Rollouts,
        sweeper: Sweeper,
        work: Queue,
        cohort: Callable[[str], Cohort],
        draw_secret: Callable[[], str],
        clock: Clock,
        vitals: Vitals,
        budgets: Budgets,
    ) -> None:
        self._budgets = budgets
        self._rounds = rounds
        self._registry = registry
        self._settling = settling
        self._phases = phases
        self._rollouts = rollouts
        self._sweeper = sweeper
        self._work = work
        self._cohort = cohort
        self._draw_secret = draw_secret
        self._clock = clock
        self._vitals = vitals

    def tick(self) -> None:
        """Look after every model in which something goes on, then sweep the bucket if it is time.

        One such model is looked after here. Of several, each is a message for a worker: one that takes long keeps no other
        waiting.
        """
        newest: dict[str, Newest] = {}
        with self._vitals.telling(None, "looking which models there are"):
            models = list(self._registry.models())
        busy = [model for model in models if not self._rests(model, newest)]
        works = self._share(busy[0]) if len(busy) == 1 else [self._given_away(model) for model in busy]
        sweeping = TickWork(None, "sweeping the bucket", self._sweeper.sweep_if_due)
        self._do(
            [
                *works,
                sweeping,
                TickWork(None, "noting that the tick has run", lambda: self._vitals.beat(newest, rests=not busy)),
            ]
        )

    def look_after(self, name: str) -> None:
        """One model's share of a tick: its rounds, and its rollout or experiments."""
        if (model := self._model(name)) is not None:
            self._do(self._share(model))

    def _given_away(self, model: Model) -> TickWork:
        return TickWork(model.name, "asking a worker to look after it", lambda: self._work.send({"tick": model.name}))

    def _share(self, model: Model) -> list[TickWork]:
        return [
            TickWork(model.name, "reconciling", lambda: self._reconcile(model)),
            TickWork(model.name, "advancing rollouts", lambda: self._rollouts.advance(model)),
        ]

    def _rests(self, model: Model, newest: dict[str, Newest]) -> bool:
        """Whether nothing is due in a model, nor will be before an operator says so; what it has now is noted in `newest`."""
        try:
            last, present = self._rounds.latest(model.name), self._registry.deployment(model.name)
        except Exception:  # noqa: BLE001 (it is looked after, and fails again there, where it is told of)
            return False
        newest[model.name] = Newest(round=last.number if last else 0, revision=present.revision if present else 0)
        is_done = last is None or (last.is_terminal and last.summary is not None)
        return is_done and not goes_on(model, last) and (present is None or not present.is_moving)

    def reconcile(self, name: str) -> None:
        """Do what is due for one model; a name that is no model's is a message from before it was gone, and no matter."""
        with self._vitals.telling(name, "reconciling"):
            try:
                if (model := self._model(name)) is not None:
                    self._reconcile(model)
            except Unreadable as unknown:
                unknown.tell()

    def _model(self, name: str) -> Model | None:
        try:
            return self._registry.model(name)
        except Unreadable as unknown:
            unknown.tell()
            return None

    def _reconcile(self, model: Model) -> None:
        metering.charge(model.name)
        rnd = self._rounds.latest(model.name)
        for _ in range(STEPS):
            rnd = self._step(model, rnd)
            if rnd is None:
                return

    def _step(self, model: Model, rnd: Round | None) -> Round | None:
        """What is due next, and what came of it; None when nothing was due, or somebody else did it."""
        if rnd is None or (rnd.is_terminal and rnd.summary is not None):
            metering.charge(model.name)
            return self._open(model, rnd)
        metering.charge(model.name, rnd.number)
        return self._settling.finalise(rnd) if rnd.is_terminal else self._phases[rnd.phase].advance(rnd)

    def _open(self, model: Model, last: Round | None) -> Round | None:
        present = self._registry.present(model.name)
        since = self._registry.since(present, last.deployment_revision if last else present.revision)
        fresh = open_next(model, last, present, self._clock(), since, self._cohort, self._draw_secret())
        return self._rounds.open(fresh) if fresh and self._budgets.allows_a_round(model) else None

    def _do(self, works: Iterable[TickWork]) -> None:
        """Do all of it. What fails does not keep the rest waiting; all failures are told of, and raised at the end.

        A row that cannot be read is no failure: trying again would not mend it. The monitor counts it, and an alert opens; an
        operator takes a round away (`abandon`), and until a version's row can be read nothing is swept.
        """
        failures: list[Exception] = []
        for work in works:
            try:
                work.run()
            except Unreadable as unknown:
                unknown.tell()
            except Exception as error:  # noqa: BLE001 (kept, and raised with the others)
                error.add_note(f"while {work.doing}{f' (model {work.model})' if work.model else ''}")
                self._vitals.tell(work.model, work.doing, error)
                failures.append(error)
        if failures:
            raise ExceptionGroup("the tick failed", failures)
