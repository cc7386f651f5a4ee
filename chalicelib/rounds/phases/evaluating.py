"""EVALUATING: the version exists and is staged; when its judges have spoken, or their time is up, decide and complete."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.instants import Clock
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.store import RegistryStore
from chalicelib.rollouts.moves import start
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.judgement import decide, is_due
from chalicelib.rounds.moves import Decided
from chalicelib.rounds.phases.recounting import judges_by_part, recount
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.dynamo import Put, Update
from muster.wire.admin import IMMEDIATE, Strategy


class Evaluating:
    """What is due in a round that evaluates."""

    def __init__(
        self,
        *,
        rounds: RoundStore,
        counters: CounterStore,
        registry: RegistryStore,
        clock: Clock,
        draw_secret: Callable[[], str],
    ) -> None:
        self._rounds = rounds
        self._counters = counters
        self._registry = registry
        self._clock = clock
        self._draw_secret = draw_secret

    def advance(self, rnd: Round) -> Round | None:
        """Decide if it is due: the new deployment, if any, and the round's completion are one transaction.

        None when it is not due, or when another actor was faster, be it an operator who deployed something else: the next
        tick then decides again, knowing that.
        """
        now = self._clock()
        evaluations = self._rounds.judgements(rnd.id)
        if not is_due(rnd, sum(e.counts for e in evaluations), now):
            recount(self._counters, rnd, "judges", list(self._counters.read(rnd)), judges_by_part(evaluations), now)
            return None
        candidate, served = rnd.published.candidate, self._registry.present(rnd.model)
        decision = decide(evaluations, rnd.config, _hindrance(rnd, served))
        writes: list[Put | Update] = []
        if decision.candidate is not None and decision.judged is not None:
            writes.append(self._registry.put_evaluation(rnd.model, candidate.version, decision.candidate, decision.judged))
        if decision.deploy:
            strategy, secret = self._strategy(rnd.model), self._draw_secret()
            deployment = start(served, candidate, strategy, now, decision.reason, secret=secret, of_round=rnd.number)
            writes.append(self._registry.put_deployment(deployment))
        decided = Decided(gain=decision.gain, was_deployed=decision.deploy, reason=decision.reason, finished_at=now)
        return self._rounds.move(rnd, decided, writes)

    def _strategy(self, name: str) -> Strategy:
        """How the model's clients come to a version."""
        model = self._registry.model(name)
        if model is None or model.config.strategy is None:
            return IMMEDIATE
        return model.config.strategy.settled(model.config.metric)


def _hindrance(rnd: Round, served: Deployment) -> str | None:
    """Why a candidate cannot be deployed, however good it is."""
    if served.rollout is not None:
        return f"a rollout of version {served.rollout.candidate.version} goes on"
    if served.experiments:
        return f"experiments go on ({', '.join(experiment.name for experiment in served.experiments)})"
    if served.revision != rnd.deployment_revision:
        return "another version was deployed in the meantime"
    return None
