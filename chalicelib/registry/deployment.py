"""What clients are served: an append-only log, one row a revision, the last row the present.

To write revision r + 1 on the condition that nobody has is at once the compare-and-set of the deployment and its history:
there is no second place that could disagree. A version's state is read off the log and stored nowhere, so exactly one
version is deployed at any time, by construction.

The log is also a stack. Each revision names the one beneath it (`previous`): a deployment lies on what was the present, a
rollback on what lay beneath its target. So rolling back twice goes back twice, and what was rolled back can be deployed again.

    revision   1        2        3        4                     5                 6
               v0 ◀──── v1 ◀──── v3       v1 (back from 3)      v3 (deployed)     v1 (back from 5)
               ▲                 │        │  previous: 1    ▲───┘ previous: 4     │  previous: 1
               └─────────────────┴────────┘                                       ▼
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chalicelib.instants import Instant
from chalicelib.registry.version import Version
from muster.wire.refs import CheckpointRef


class VersionState(StrEnum):
    """Where a version stands with respect to what is served."""

    TRAINING = "training"
    """The round that made it has not decided yet."""
    STAGED = "staged"
    """It was never served."""
    DEPLOYED = "deployed"
    RETIRED = "retired"
    """It was served, and another was deployed after it."""
    ROLLED_BACK = "rolled-back"
    """It was served, and a rollback went past it."""


MOVES: Mapping[VersionState, frozenset[VersionState]] = {
    VersionState.TRAINING: frozenset({VersionState.STAGED, VersionState.DEPLOYED}),
    VersionState.STAGED: frozenset({VersionState.DEPLOYED}),
    VersionState.DEPLOYED: frozenset({VersionState.RETIRED, VersionState.ROLLED_BACK}),
    VersionState.RETIRED: frozenset({VersionState.DEPLOYED, VersionState.ROLLED_BACK}),
    VersionState.ROLLED_BACK: frozenset({VersionState.DEPLOYED}),
}
"""The moves that a log can bring about. Nothing becomes undeployed without something else being deployed."""


class DeploymentKind(StrEnum):
    """How a revision came about."""

    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A revision of what is served."""

    model: str
    revision: int
    stable: CheckpointRef
    at: Instant
    because: str
    previous: int | None = None
    """The revision to which one step of rollback leads; None at the end of the history."""
    kind: DeploymentKind = DeploymentKind.DEPLOYED
    left: tuple[int, ...] = ()
    """The versions that a rollback went past."""
    by: str | None = None
    """The operator; None when a round decided."""
    round: int | None = None
    """The round whose decision this was; None when an operator made it."""

    @property
    def mentions(self) -> frozenset[int]:
        """The versions of which this revision says something."""
        return frozenset({self.stable.version, *self.left})


class NothingBeneath(Exception):
    """The history does not go back so far: only so many `steps`."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"the history goes back {steps} steps")
        self.steps = steps


def deploy(present: Deployment, version: Version, at: datetime, because: str, by: str | None) -> Deployment:
    """The revision by which a version is deployed; the present one when it is already."""
    if present.stable.version == version.number:
        return present
    return Deployment(
        model=present.model,
        revision=present.revision + 1,
        stable=version.checkpoint,
        at=at,
        because=because,
        previous=present.revision,
        by=by,
    )


def roll_back(
    present: Deployment, revision: Callable[[int], Deployment], steps: int, at: datetime, because: str, by: str | None
) -> Deployment:
    """The revision by which a model goes back `steps` along the history; `revision` reads one.

    Raises:
        NothingBeneath: the history is shorter.
    """
    target, left = present, []
    for taken in range(steps):
        left.append(target.stable.version)
        if target.previous is None:
            raise NothingBeneath(taken)
        target = revision(target.previous)
    passed = tuple(sorted(set(left) - {target.stable.version}))
    return Deployment(
        model=present.model,
        revision=present.revision + 1,
        stable=target.stable,
        at=at,
        because=because,
        previous=target.previous,
        kind=DeploymentKind.ROLLED_BACK,
        left=passed,
        by=by,
    )


def is_repeat(made: Deployment, wanted: Deployment) -> bool:
    """Whether a revision that somebody made is what was wanted: then the wish came twice, and is fulfilled."""
    return (made.revision, made.stable, made.kind, made.left) == (wanted.revision, wanted.stable, wanted.kind, wanted.left)


def states(versions: Iterable[int], log: Iterable[Deployment], in_training: int | None) -> dict[int, VersionState]:
    """The states of versions, from the deployments newest first: as far back as one of them can be mentioned.

    `in_training` is the version whose round has not decided yet. The log is read no further than needed.
    """
    unknown, found = set(versions), dict[int, VersionState]()
    for age, deployment in enumerate(log):
        for version in unknown & deployment.mentions:
            if version == deployment.stable.version:
                found[version] = VersionState.RETIRED if age else VersionState.DEPLOYED
            else:
                found[version] = VersionState.ROLLED_BACK
        unknown -= deployment.mentions
        if not unknown:
            break
    never = {v: VersionState.TRAINING if v == in_training else VersionState.STAGED for v in unknown}
    return found | never
