"""Values of rounds for tests of rules: a round in any phase has what its phase promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.registry.deployment import Deployment
from chalicelib.registry.model import Model, TrainingState
from chalicelib.rounds.moves import AFTER_FREEZE, AFTER_PUBLICATION, Frozen, Phase, Published, members
from chalicelib.rounds.round import Round
from muster.wire.admin import RoundConfig
from muster.wire.refs import CheckpointRef

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = RoundConfig(goal=10, quorum=4, over_selection=1.5, report_seconds=600, grace_seconds=60)


def ref(version: int) -> CheckpointRef:
    return CheckpointRef(
        version=version, sha256=f"{version:064d}", nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000
    )


FROZEN = Frozen(manifest_sha256="0" * 64, norm_bound=None, closed_at=T0 + timedelta(seconds=600))
PUBLISHED = Published(candidate=ref(1), deployed=ref(0), deployment_revision=1, evaluate_by=T0 + timedelta(seconds=1200))


def reached(phase: Phase) -> dict[str, Any]:
    """What a round has that came to a phase."""
    frozen = members(FROZEN) if phase in AFTER_FREEZE else {}
    published = members(PUBLISHED) if phase in AFTER_PUBLICATION else {}
    return frozen | published | {"phase": phase}


def a_round(phase: Phase = Phase.COLLECTING, **changes: Any) -> Round:
    made = Round(
        model="toy",
        number=1,
        phase=Phase.COLLECTING,
        fence=0,
        config=CONFIG,
        base=ref(0),
        deployed=ref(0),
        deployment_revision=1,
        opened_at=T0,
        report_by=T0 + timedelta(seconds=600),
        completed_before=0,
    )
    return replace(made, **{**reached(phase), **changes})


def a_model(**changes: Any) -> Model:
    return replace(Model(name="toy", config=CONFIG, created_at=T0, training=TrainingState.RUNNING, rounds_wanted=5), **changes)


DEPLOYED = Deployment(model="toy", revision=1, stable=ref(0), at=T0, because="created", previous=None)
