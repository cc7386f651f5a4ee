"""Which version a client is given, and what it is in a rollout: of its id and the deployment's row alone (pure).

stable 4, candidate 7 at 5 %     place 312  ──▶  7, candidate
place 4011 ──▶  4
place 9280 ──▶  4, control
"""

from __future__ import annotations

from enum import StrEnum

from chalicelib.registry.deployment import Deployment
from chalicelib.registry.rollout import ALL, Rollout
from chalicelib.rollouts.splits import place
from muster.wire.refs import CheckpointRef


class Side(StrEnum):
    """What a client is in a rollout."""

    CANDIDATE = "candidate"
    """It is given the candidate."""
    CONTROL = "control"
    """It is given the stable version, and compared with those who are not."""
    REST = "rest"
    """It is given the stable version, and not asked."""


def salt(model: str, rollout: Rollout) -> str:
    """What the places of a rollout are drawn with."""
    return f"{model}/{rollout.began}/{rollout.secret}"


def side_of(model: str, rollout: Rollout, client_id: str) -> Side:
    """What a client is in a rollout."""
    at = place(salt(model, rollout), client_id)
    if at < rollout.share:
        return Side.CANDIDATE
    return Side.CONTROL if at >= ALL - rollout.control else Side.REST


def given_to(client_id: str, deployment: Deployment) -> CheckpointRef:
    """The version that a client should run."""
    rollout = deployment.rollout
    if rollout is not None and side_of(deployment.model, rollout, client_id) is Side.CANDIDATE:
        return rollout.candidate
    return deployment.stable
