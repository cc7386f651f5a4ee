"""The moves of a round: what is known once a move is made, and no earlier, is what the move carries.

                    goal, or deadline           published            judged, or time
                    with quorum                                      is up
      open ──▶ COLLECTING ──Frozen──▶ AGGREGATING ──Published──▶ EVALUATING ──Decided──▶ COMPLETED
                    │                      │                          │
                    └──────────────────────┴────────Abandoned─────────┴──▶ ABANDONED (reason)

Every move is one write on the condition that the phase and the fence are still the ones that were read (`store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from chalicelib.instants import Instant
from muster.wire.refs import CheckpointRef


class Phase(StrEnum):
    """Where a round stands."""

    COLLECTING = "collecting"
    AGGREGATING = "aggregating"
    EVALUATING = "evaluating"
    COMPLETED = "completed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The manifest is frozen: who is in it is known, and nobody else will be."""

    manifest_sha256: str
    norm_bound: float | None
    """An accepted update with a larger norm is an outlier. None: none is."""
    closed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The version is there, staged: a candidate, and the version that it is measured against."""

    candidate: CheckpointRef
    deployed: CheckpointRef
    """What clients were served when the candidate was made: its rival."""
    deployment_revision: int
    evaluate_by: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The judges have spoken, or their time is up."""

    gain: float | None
    """Over the rival, in units of the metric that decides; None without enough judges."""
    was_deployed: bool
    reason: str
    finished_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """The round ended without a decision; what is served stays as it is."""

    reason: str
    closed_at: Instant
    """When it stopped collecting: now, or, of one that had stopped before, then."""
    finished_at: Instant
    norm_bound: float | None
    called_off: bool = False
    """Whether an operator ended it: no failure of the fleet, nor of the stack."""


Move = Frozen | Published | Decided | Abandoned

MOVES: Mapping[type[Move], tuple[frozenset[Phase], Phase]] = {
    Frozen: (frozenset({Phase.COLLECTING}), Phase.AGGREGATING),
    Published: (frozenset({Phase.AGGREGATING}), Phase.EVALUATING),
    Decided: (frozenset({Phase.EVALUATING}), Phase.COMPLETED),
    Abandoned: (frozenset({Phase.COLLECTING, Phase.AGGREGATING, Phase.EVALUATING}), Phase.ABANDONED),
}
"""From which phases a move leads, and to which; there are no others."""

ENDED = frozenset(Phase) - frozenset().union(*(before for before, _ in MOVES.values()))
"""Phases that no move leaves."""

AFTER_FREEZE = frozenset({Phase.AGGREGATING, Phase.EVALUATING, Phase.COMPLETED})
"""Phases that a round reaches only with a manifest."""

AFTER_PUBLICATION = frozenset({Phase.EVALUATING, Phase.COMPLETED})
"""Phases that a round reaches only with a candidate."""


def members(value: Any) -> dict[str, Any]:
    """What a move, or what becomes of a receipt, sets: its members by name, each as it is."""
    return {each.name: getattr(value, each.name) for each in fields(value)}
