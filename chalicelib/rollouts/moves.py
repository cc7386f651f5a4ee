"""The moves of a rollout, and of an experiment, each a revision of the deployments' log (pure).

                      ┌──────────────── step ────────────────┐
    (stable alone) ── start ──▶ candidate beside stable ◀────┘── promote ──▶ (candidate alone)
          ▲                        │  ▲        │
          └──── abort, rollback ───┤  └ resume ┤
                                   └── pause ──┘

    (stable alone) ── begin ──▶ experiments beside stable ── end the last one ──▶ (stable alone)

To write revision r + 1, if nobody has, is each move's condition: of an operator, a round and two ticks that move at once, one
does, and the others look again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from chalicelib.registry.deployment import Deployment, DeploymentKind
from chalicelib.registry.experiment import Experiment
from chalicelib.registry.rollout import ALL, Rollout, shares
from muster.wire.admin.experiments import ExperimentReply
from muster.wire.admin.strategies import Strategy
from muster.wire.refs import CheckpointRef


class NoRollout(Exception):
    """There is no rollout that could be moved."""


class NoExperiment(Exception):
    """There is no experiment of that name that could be ended."""


def start(
    present: Deployment,
    candidate: CheckpointRef,
    strategy: Strategy,
    at: datetime,
    because: str,
    *,
    secret: str,
    of_round: int | None = None,
) -> Deployment:
    """The revision by which a rollout begins; with the strategy `immediate`, the one by which a version is deployed. The
    strategy is one that was settled, the secret is random.

    Raises:
        ValueError: another one goes on, or experiments do, or the candidate is what is stable.
    """
    if present.rollout is not None:
        raise ValueError(f"a rollout of version {present.rollout.candidate.version} goes on")
    if present.experiments:
        raise ValueError(f"{len(present.experiments)} experiments go on")
    if present.stable.version == candidate.version:
        raise ValueError(f"version {candidate.version} is deployed")
    revision = present.revision + 1
    rollout = None
    if strategy.kind != "immediate":
        share = shares(strategy)[0] if strategy.steps else 0
        rollout = Rollout(
            began=revision,
            beneath=present.previous,
            secret=secret,
            candidate=candidate,
            strategy=strategy,
            reached=at,
            since=at,
            share=share,
        )
    return Deployment(
        model=present.model,
        revision=revision,
        stable=candidate if rollout is None else present.stable,
        at=at,
        because=because,
        previous=present.revision,
        kind=DeploymentKind.DEPLOYED if rollout is None else DeploymentKind.STARTED,
        rollout=rollout,
        round=of_round,
    )


def step(present: Deployment, at: datetime, because: str) -> Deployment:
    """The revision by which a rollout comes to its next share; of the last one, by which it is promoted.

    Of blue-green, the first step gives all clients the candidate and keeps the way back, the second promotes it.
    """
    rollout = going_on(present)
    if is_last(rollout):
        return promote(present, at, because)
    following = rollout.step + 1
    stepped = replace(rollout, step=following, share=_ladder(rollout)[following], reached=at, since=at, paused=None)
    return _next(present, DeploymentKind.STEPPED, stepped, at, because)


def pause(present: Deployment, at: datetime, because: str) -> Deployment:
    """The revision by which a rollout goes no further; clients keep what they are given. The present one when an operator has
    paused it: a pause of its own accord also ends of its own accord, so an operator's comes on top.
    """
    rollout = going_on(present)
    if rollout.paused is not None and present.by is not None:
        return present
    return _next(present, DeploymentKind.PAUSED, replace(rollout, paused=because), at, because)


def resume(present: Deployment, at: datetime, because: str) -> Deployment:
    """The revision by which a paused rollout goes on, its step beginning anew. The present one when it goes on."""
    rollout = going_on(present)
    if rollout.paused is None:
        return present
    return _next(present, DeploymentKind.RESUMED, replace(rollout, paused=None, since=at), at, because)


def promote(present: Deployment, at: datetime, because: str) -> Deployment:
    """The revision by which all clients are given the candidate, whatever step it is at."""
    rollout = going_on(present)
    promoted = _next(present, DeploymentKind.PROMOTED, None, at, because)
    return replace(promoted, stable=rollout.candidate)


def abort(present: Deployment, at: datetime, because: str) -> Deployment:
    """The revision by which all clients are given the stable version again, and the candidate is rolled back."""
    rollout = going_on(present)
    aborted = _next(present, DeploymentKind.ABORTED, None, at, because)
    return replace(aborted, previous=rollout.beneath, left=(rollout.candidate.version,))


def again(present: Deployment, at: datetime, because: str) -> Deployment:
    """The revision by which all clients are given what they are given, in the place of the present one: signed anew."""
    return _next(present, DeploymentKind.DEPLOYED, None, at, because)


def begin(present: Deployment, experiment: Experiment, because: str) -> Deployment:
    """The revision by which an experiment begins beside those that go on.

    Raises:
        ValueError: a rollout goes on.
    """
    if present.rollout is not None:
        raise ValueError(f"a rollout of version {present.rollout.candidate.version} goes on")
    first = not present.experiments
    beneath = present.previous if first else present.experiments[0].beneath
    begun = replace(experiment, began=present.revision + 1, beneath=beneath)
    following = _next(present, DeploymentKind.EXPERIMENT_STARTED, None, experiment.since, because)
    previous = present.revision if first else present.previous
    return replace(following, previous=previous, experiments=(*present.experiments, begun))


def end(present: Deployment, name: str, at: datetime, because: str, found: ExperimentReply) -> Deployment:
    """The revision by which an experiment ends, with what it has found; the others go on.

    Raises:
        NoExperiment: no experiment of that name goes on.
    """
    ending = experiment_of(present, name)
    left = tuple(experiment for experiment in present.experiments if experiment != ending)
    ended = _next(present, DeploymentKind.EXPERIMENT_ENDED, None, at, because)
    return replace(ended, previous=present.previous if left else ending.beneath, experiments=left, ended=found)


def experiment_of(present: Deployment, name: str) -> Experiment:
    """The experiment of a deployment that has a name.

    Raises:
        NoExperiment: there is none.
    """
    found = next((experiment for experiment in present.experiments if experiment.name == name), None)
    if found is None:
        raise NoExperiment(name)
    return found


def is_last(rollout: Rollout) -> bool:
    """Whether promotion comes after the present step."""
    return rollout.step + 1 == len(_ladder(rollout))


def _ladder(rollout: Rollout) -> tuple[int, ...]:
    """The share of each step; with blue-green, nobody while it warms up, and then all."""
    return (0, ALL) if rollout.strategy.kind == "blue-green" else shares(rollout.strategy)[:-1]


def going_on(present: Deployment) -> Rollout:
    """The rollout of a deployment.

    Raises:
        NoRollout: there is none.
    """
    if present.rollout is None:
        raise NoRollout
    return present.rollout


def _next(present: Deployment, kind: DeploymentKind, rollout: Rollout | None, at: datetime, because: str) -> Deployment:
    return Deployment(
        model=present.model,
        revision=present.revision + 1,
        stable=present.stable,
        at=at,
        because=because,
        previous=present.previous,
        kind=kind,
        rollout=rollout,
        round=present.round,
    )
