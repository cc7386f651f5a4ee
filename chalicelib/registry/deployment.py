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

A rollout is a candidate that lies on the stable version, in as many revisions as it takes steps. Each of them names what lay
there before it began, so one step back leads to the stable version alone, and a promotion lies where a deployment would.
Experiments lie there in the same way, never beside a rollout: one step back ends all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from chalicelib.instants import Instant
from chalicelib.registry.experiment import Experiment
from chalicelib.registry.rollout import Rollout
from chalicelib.texts import AS_TEXT, from_text
from muster.wire.admin.experiments import ExperimentReply
from muster.wire.refs import CheckpointRef


class VersionState(StrEnum):
    """Where a version stands with respect to what is served."""

    TRAINING = "training"
    """The round that made it has not decided yet."""
    STAGED = "staged"
    """It was never served."""
    ROLLING_OUT = "rolling-out"
    """A share of the clients is given it."""
    ON_TRIAL = "on-trial"
    """It is an arm of an experiment."""
    DEPLOYED = "deployed"
    RETIRED = "retired"
    """It was served, and is no more: another was deployed after it, or its experiment ended."""
    ROLLED_BACK = "rolled-back"
    """It was served, and a rollback went past it."""


MOVES: Mapping[VersionState, frozenset[VersionState]] = {
    VersionState.TRAINING: frozenset({VersionState.STAGED, VersionState.ROLLING_OUT, VersionState.DEPLOYED}),
    VersionState.STAGED: frozenset({VersionState.ROLLING_OUT, VersionState.ON_TRIAL, VersionState.DEPLOYED}),
    VersionState.ROLLING_OUT: frozenset({VersionState.DEPLOYED, VersionState.ROLLED_BACK}),
    VersionState.ON_TRIAL: frozenset({VersionState.RETIRED, VersionState.DEPLOYED, VersionState.ROLLED_BACK}),
    VersionState.DEPLOYED: frozenset({VersionState.RETIRED, VersionState.ROLLED_BACK}),
    VersionState.RETIRED: frozenset(
        {VersionState.ROLLING_OUT, VersionState.ON_TRIAL, VersionState.DEPLOYED, VersionState.ROLLED_BACK}
    ),
    VersionState.ROLLED_BACK: frozenset({VersionState.ROLLING_OUT, VersionState.ON_TRIAL, VersionState.DEPLOYED}),
}
"""The moves that a log can bring about. Nothing becomes undeployed without something else being deployed."""


class DeploymentKind(StrEnum):
    """How a revision came about."""

    DEPLOYED = "deployed"
    """All clients are given a version."""
    ROLLED_BACK = "rolled-back"
    """All are given again what lay beneath."""
    STARTED = "started"
    """A rollout began."""
    STEPPED = "stepped"
    """It came to another share."""
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTED = "promoted"
    """It is over: all are given what was the candidate."""
    ABORTED = "aborted"
    """It is over: all are given the stable version."""
    EXPERIMENT_STARTED = "experiment-started"
    EXPERIMENT_ENDED = "experiment-ended"
    """Its clients are given the stable version again."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What the stack's key says of a revision (`muster.wire.statements`)."""

    statement: str
    """The text that was signed."""
    signature: str
    """In DER, as base64."""
    key: str
    """The key of KMS that signed it, by id or ARN."""


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
    rollout: Rollout | None = None
    """What is on its way to all clients; None when nothing is."""
    experiments: tuple[Experiment, ...] = ()
    """What is tried beside the stable version: never beside a rollout, and no client is in two of them."""
    ended: Annotated[ExperimentReply, AS_TEXT, from_text(ExperimentReply)] | None = None
    """What the experiment that this revision ended has found."""
    signed: Signed | None = field(default=None, compare=False)
    """None where the stack has no key, or had none then. No two signatures of a statement are alike, so it is no part of what a
    revision is."""

    @property
    def top(self) -> CheckpointRef:
        """What a rollout will make stable, or what is."""
        return self.rollout.candidate if self.rollout else self.stable

    @property
    def beside(self) -> tuple[CheckpointRef, ...]:
        """What some clients are given instead of the stable version: each other version once, in their order."""
        arms = [arm.checkpoint for experiment in self.experiments for arm in experiment.arms]
        given = arms if self.rollout is None else [self.rollout.candidate]
        return tuple(sorted({ref.version: ref for ref in given if ref.version != self.stable.version}.values(), key=_number))

    @property
    def offered(self) -> tuple[CheckpointRef, ...]:
        """All that clients may be given, by version."""
        return tuple(sorted((self.stable, *self.beside), key=_number))

    @property
    def is_moving(self) -> bool:
        """Whether a rollout or an experiment goes on."""
        return self.rollout is not None or bool(self.experiments)

    @property
    def is_trouble(self) -> bool:
        """Whether a rollout was paused or taken back by itself, and nobody has decided anything since."""
        return self.by is None and self.kind in (DeploymentKind.PAUSED, DeploymentKind.ABORTED)

    @property
    def mentions(self) -> frozenset[int]:
        """The versions of which this revision says something."""
        return frozenset({self.stable.version, *map(_number, self.beside), *self.left})

    @property
    def brings(self) -> frozenset[int]:
        """The versions that clients are given by it, and perhaps by no revision before."""
        return frozenset() if self.kind in _MOVES_ON else self.mentions - set(self.left)


def _number(ref: CheckpointRef) -> int:
    return ref.version


_MOVES_ON = frozenset({
    DeploymentKind.STEPPED, DeploymentKind.PAUSED, DeploymentKind.RESUMED, DeploymentKind.PROMOTED, DeploymentKind.ABORTED,
    DeploymentKind.EXPERIMENT_ENDED,
})  # fmt: skip
"""After these, clients are given nothing that they were not given by the revision before."""


class NothingBeneath(Exception):
    """The history does not go back so far: only so many `steps`."""

    def __init__(self, steps: int) -> None:
        super().__init__(f"the history goes back {steps} steps")
        self.steps = steps


def roll_back(
    present: Deployment, revision: Callable[[int], Deployment], steps: int, at: datetime, because: str, by: str | None
) -> Deployment:
    """The revision by which a model goes back `steps` along the history; `revision` reads one.

    Raises:
        NothingBeneath: the history is shorter.
    """
    target, left = present, list[int]()
    for taken in range(steps):
        left += map(_number, target.beside or (target.stable,))
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
    return _decided(made) == _decided(wanted)


def _decided(deployment: Deployment) -> tuple[object, ...]:
    """What was wanted of a revision; not when, why and by whom. Only a pause that is nobody's is another thing than an
    operator's: it ends by itself.
    """
    about = deployment.rollout
    paused = about and about.paused and ("by somebody" if deployment.by else "by itself")
    rollout = about and (about.began, about.candidate, about.strategy, about.step, about.share, paused)
    experiments = tuple(experiment.wish for experiment in deployment.experiments)
    return (deployment.revision, deployment.stable, deployment.kind, deployment.left, rollout, experiments)


def states(versions: Iterable[int], log: Iterable[Deployment], in_training: int | None) -> dict[int, VersionState]:
    """The states of versions, from the deployments newest first: as far back as one of them can be mentioned.

    `in_training` is the version whose round has not decided yet. The log is read no further than needed.
    """
    unknown, found = set(versions), dict[int, VersionState]()
    for age, deployment in enumerate(log):
        for version in unknown & deployment.mentions:
            if version == deployment.stable.version:
                found[version] = VersionState.RETIRED if age else VersionState.DEPLOYED
            elif deployment.rollout is not None and version == deployment.rollout.candidate.version:
                found[version] = VersionState.ROLLED_BACK if age else VersionState.ROLLING_OUT
            elif version not in deployment.left:
                found[version] = VersionState.RETIRED if age else VersionState.ON_TRIAL
            else:
                found[version] = VersionState.ROLLED_BACK
        unknown -= deployment.mentions
        if not unknown:
            break
    never = {v: VersionState.TRAINING if v == in_training else VersionState.STAGED for v in unknown}
    return found | never
