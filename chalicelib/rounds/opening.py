"""When a model's next round opens, and from where it starts (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from chalicelib.clients.cohort import Cohort
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.rounds.counters import parts_for
from chalicelib.rounds.moves import Phase
from chalicelib.rounds.round import Round
from muster.wire.refs import CheckpointRef


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
        abandoned_before=last.abandoned_in_a_row if last else 0,
        abandoned_because=last.reason if last and last.abandoned_in_a_row else None,
        parts=parts_for(model.config),
        salt=salt,
    )
