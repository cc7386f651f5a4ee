"""What clients are served: an append-only log, one row a revision, the last row the present.

To write revision r + 1 on the condition that nobody has is at once the compare-and-set of the deployment and its history:
there is no second place that could disagree. A version's state is read off the log and stored nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.instants import Instant
from chalicelib.registry.version import CheckpointRef


class VersionState(StrEnum):
    """Where a version stands with respect to what is served."""

    STAGED = "staged"
    DEPLOYED = "deployed"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A revision of what is served."""

    model: str
    revision: int
    stable: CheckpointRef
    at: Instant
    because: str
    round: int | None = None
    """The round whose decision this was; None when an operator made it."""


def state_of(version: int, log: Iterable[Deployment]) -> VersionState:
    """The state of a version, from a model's deployment log (any order; all of it)."""
    revisions = sorted(log, key=lambda deployment: deployment.revision)
    if revisions and revisions[-1].stable.version == version:
        return VersionState.DEPLOYED
    return VersionState.RETIRED if any(d.stable.version == version for d in revisions) else VersionState.STAGED
