"""Which version a client is given, and what it is in a rollout or an experiment: of what it is and the deployment's row (pure).

stable 4, candidate 7 at 5 %     place 312  ──▶  7, candidate
place 4011 ──▶  4
place 9280 ──▶  4, control
"""

from __future__ import annotations

from enum import StrEnum

from chalicelib.clients.client import Described
from chalicelib.clients.cohort import belongs
from chalicelib.clients.splits import arm, place
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.experiment import Experiment, ExperimentArm
from chalicelib.registry.rollout import ALL, Rollout
from muster.wire.refs import CheckpointRef


class Side(StrEnum):
    """What a client is in a rollout."""

    CANDIDATE = "candidate"
    """It is given the candidate."""
    CONTROL = "control"
    """It is given the stable version, and compared with those who are not."""
    REST = "rest"
    """It is given the stable version, and not asked."""


def salt(model: str, drawn: Rollout | Experiment) -> str:
    """What the places of a rollout or an experiment are drawn with."""
    return f"{model}/{drawn.began}/{drawn.secret}"


def side_of(model: str, rollout: Rollout, client_id: str) -> Side:
    """What a client is in a rollout."""
    at = place(salt(model, rollout), client_id)
    if at < rollout.share:
        return Side.CANDIDATE
    return Side.CONTROL if at >= ALL - rollout.control else Side.REST


def arm_of(model: str, experiment: Experiment, client: Described) -> ExperimentArm | None:
    """The arm of a client in an experiment; None when it is not in its cohort."""
    if experiment.rule is not None and not belongs(experiment.rule, client):
        return None
    weights = [each.weight for each in experiment.arms]
    return experiment.arms[arm(salt(model, experiment), client.client_id, weights)]


def trial_of(client: Described, deployment: Deployment) -> tuple[Experiment, ExperimentArm] | None:
    """The experiment that a client is in, and its arm; None when it is in none. It is never in two."""
    for experiment in deployment.experiments:
        found = arm_of(deployment.model, experiment, client)
        if found is not None:
            return experiment, found
    return None


def given_to(client: Described, deployment: Deployment) -> CheckpointRef:
    """The version that a client should run."""
    rollout = deployment.rollout
    if rollout is not None:
        is_first = side_of(deployment.model, rollout, client.client_id) is Side.CANDIDATE
        return rollout.candidate if is_first else deployment.stable
    trial = trial_of(client, deployment)
    return trial[1].checkpoint if trial else deployment.stable
