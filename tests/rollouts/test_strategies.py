"""Whatever strategy is taken can be written, read again, and looked by: a row that could not would stop the whole fleet."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.registry.deployment import Deployment
from chalicelib.rollouts import moves
from chalicelib.rollouts.report import RolloutReport
from chalicelib.rollouts.steering import Guarding, due, findings
from chalicelib.storage.rows import from_item, to_item
from muster.wire.admin import Strategy
from muster.wire.deciding import ACCURACY, DecidingMetric
from tests.rollouts.making import T0, ref

NUMBERS = st.floats(-1e30, 1e30)
JUST_BELOW_3 = math.nextafter(3.0, 0.0)


@example(0.0, 5e-324, None, 0.0)
@example(0.0, 3.0, JUST_BELOW_3, 1.0)
@example(-1e30, 1e30, None, 1e30)
@given(NUMBERS, NUMBERS, st.none() | st.floats(0.0, 1e30, exclude_min=True), NUMBERS | st.none())
def test_a_strategy_that_is_taken_reads_back_and_its_guard_looks_at_any_number(
    minimum: float, maximum: float, margin: float | None, value: float | None
) -> None:
    try:
        metric = DecidingMetric(name="m", direction="higher", minimum=minimum, maximum=maximum)
        said: dict[str, Any] = {"kind": "canary", "steps": [50.0], "guard": {"metric": metric, "margin": margin}}
        strategy = Strategy.model_validate(said).settled(ACCURACY)
    except (ValidationError, ValueError):
        return
    present = Deployment(model="toy", revision=1, stable=ref(0), at=T0, because="created")
    made = moves.start(present, ref(1), strategy, T0, "because", secret="s")
    assert from_item(Deployment, to_item(made)) == made
    rollout, guarding = moves.going_on(made), Guarding.of(strategy)
    assert guarding is not None
    reports = [
        RolloutReport(client_id=f"client-{n}", version=n % 2, at=T0, is_candidate=n % 2 == 1, value=value, ttl=0)
        for n in range(60)
    ]
    later = T0.replace(year=2027)
    found = findings("toy", rollout, guarding, reports, later)
    low, high = guarding.interval(found)
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low <= high
    due(made, guarding, found, later - T0, later)
