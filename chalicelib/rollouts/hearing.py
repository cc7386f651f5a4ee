"""How soon devices should be heard while a rollout or an experiment goes on (pure): its step is over in so long, and a device
hears of it, and answers, in heartbeats.
"""

from __future__ import annotations

from datetime import datetime

from chalicelib.registry.deployment import Deployment
from chalicelib.registry.rollout import Rollout

ANSWER, HEAR = 0.25, 0.5
"""Parts of a step: within the one who is asked answers, within the other everybody hears what the step gives it."""


def heard_within(deployment: Deployment, now: datetime, *, is_asked: bool) -> float | None:
    """Within how many seconds a device of this model should send its next heartbeat; None when nothing goes on that waits for
    it.
    """
    spans = [] if deployment.rollout is None else [_step_seconds(deployment.rollout)]
    spans += [
        (experiment.horizon - experiment.since).total_seconds()
        for experiment in deployment.experiments
        if experiment.horizon is not None and now < experiment.horizon
    ]
    return min(spans) * (ANSWER if is_asked else HEAR) if spans else None


def _step_seconds(rollout: Rollout) -> float:
    """How long a step lasts, or, if that is sooner, after how long without a word of it there is no step any more."""
    strategy = rollout.strategy
    patience = strategy.patience * strategy.window_seconds
    if strategy.kind == "blue-green" and not rollout.step:
        return 2 * patience
    return min(strategy.pause_seconds, patience)
