"""Reconciles one model: open, advance, finalise, until nothing is due.

To reconcile carries no meaning of its own: it reads what is stored and does what is due, and each thing it does ends in one
conditional write. So it is idempotent, and may happen twice, at once, late, and on anybody's word: the tick's, or that of a
worker that thinks that something may be due. What is left undone is done the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chalicelib.clients.cohort import Cohort
from chalicelib.instants import Clock
from chalicelib.registry.model import Model
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.advancing import Rollouts
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.phases.settling import Settling
from chalicelib.rounds.phases.sweeping import Sweeper
from chalicelib.rounds.round import Round, open_next
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.rows import Unreadable

STEPS = 8
"""Steps that are taken at once. A whole round and the opening of the next are five; more would be a loop."""


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
        cohort: Callable[[str], Cohort],
        clock: Clock,
    ) -> None:
        self._rounds = rounds
        self._registry = registry
        self._settling = settling
        self._phases = phases
        self._rollouts = rollouts
        self._sweeper = sweeper
        self._cohort = cohort
        self._clock = clock

    def tick(self) -> None:
        """Reconcile every model, its rounds and its rollout, then sweep the bucket if it is time. What fails does not keep the
        others waiting; all failures are raised at the end.

        A row that cannot be read is no failure: trying again would not mend it. An operator takes a round away (`abandon`).
        """
        failures: list[Exception] = []
        for model in self._registry.models():
            for work in (self._reconcile, self._rollouts.advance):
                try:
                    work(model)
                except Unreadable as unknown:
                    unknown.tell()  # the monitor counts it, and an alert opens
                except Exception as error:  # noqa: BLE001 (kept, and raised with the others)
                    error.add_note(f"while reconciling model {model.name}")
                    failures.append(error)
        try:
            self._sweeper.sweep_if_due()
        except Unreadable as unknown:
            unknown.tell()  # what it names is not known, so nothing is deleted
        except Exception as error:  # noqa: BLE001 (kept, and raised with the others)
            error.add_note("while sweeping the bucket")
            failures.append(error)
        if failures:
            raise ExceptionGroup("the tick failed for some models", failures)

    def reconcile(self, name: str) -> None:
        """Do what is due for one model; a name that is no model's is a message from before it was gone, and no matter."""
        try:
            model = self._registry.model(name)
            if model is not None:
                self._reconcile(model)
        except Unreadable as unknown:
            unknown.tell()

    def _reconcile(self, model: Model) -> None:
        rnd = self._rounds.latest(model.name)
        for _ in range(STEPS):
            if rnd is None or (rnd.is_terminal and rnd.summary is not None):
                rnd = self._open(model, rnd)
            elif rnd.is_terminal:
                rnd = self._settling.finalise(rnd)
            else:
                rnd = self._phases[rnd.phase].advance(rnd)
            if rnd is None:
                return

    def _open(self, model: Model, last: Round | None) -> Round | None:
        present = self._registry.present(model.name)
        since = self._registry.since(present, last.deployment_revision if last else present.revision)
        fresh = open_next(model, last, present, self._clock(), since, self._cohort)
        return self._rounds.open(fresh) if fresh else None
