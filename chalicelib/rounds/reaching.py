"""What points at a model's versions: the log of deployments, as far as a rollback is expected to go; its rounds; its aliases.

Every pointer that there will be comes from one of these: a round starts from what the last one, or the deployment, names, and
whatever else comes to serve a version takes its mark away (`RegistryStore.deploy`).
"""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.registry.aliases import challenger
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.retention import Kept, Reach
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.sweep import KEPT_STEPS
from chalicelib.rounds.opening import next_base
from chalicelib.rounds.store import RoundStore


class Reaching:
    """Looks at all pointers of a model."""

    def __init__(self, *, registry: RegistryStore, rounds: RoundStore) -> None:
        self._registry = registry
        self._rounds = rounds

    def of(self, model: str) -> Reach | None:
        """What is pointed at now; None when the model has no deployment, so that nothing is known.

        Raises:
            Unreadable: a row cannot be read that may point at a version.
        """
        present = self._registry.deployment(model)
        return Reach.of(self._pointers(present)) if present else None

    def _pointers(self, present: Deployment) -> Iterator[tuple[int | None, Kept]]:
        yield present.stable.version, Kept.DEPLOYED
        why = Kept.ROLLOUT if present.rollout is not None else Kept.EXPERIMENT
        yield from ((ref.version, why) for ref in present.beside)
        yield from ((number, Kept.MENTIONED) for number in sorted(present.mentions) if number not in _served(present))
        yield from self._beneath(present)
        last = self._rounds.latest(present.model)
        hopeful = challenger(self._registry, present, self._rounds.undecided(present.model))
        yield hopeful.number if hopeful else None, Kept.CHALLENGER
        if last is not None:
            yield from ((ref.version, Kept.ROUND) for ref in (last.base, last.deployed, last.candidate) if ref)
        since = self._registry.since(present, last.deployment_revision if last else present.revision)
        yield next_base(last, present, since).version, Kept.NEXT_BASE

    def _beneath(self, present: Deployment) -> Iterator[tuple[int | None, Kept]]:
        """What steps of rollback lead to."""
        deployment: Deployment | None = present
        for _ in range(KEPT_STEPS):
            if deployment is None or deployment.previous is None:
                return
            deployment = self._registry.revision(present.model, deployment.previous)
            if deployment is not None:
                yield from ((number, Kept.ROLLBACK) for number in sorted(_served(deployment)))


def _served(deployment: Deployment) -> set[int]:
    return {ref.version for ref in deployment.offered}
