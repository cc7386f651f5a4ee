"""The bounds within which a metric is well (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.monitoring.objectives import ACTIVE, UPLOADS, round_limit_seconds
from chalicelib.monitoring.record import (
    ACTIVE_SHARE,
    BURNED,
    JUDGES_MISSING,
    OVER_BUDGET,
    ROLLOUT_TROUBLE,
    UNFILLED,
    UPLOAD_SUCCESS,
)
from muster.wire.admin import NO_MODEL, RoundConfig


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Bounds of one metric of one model. Without either the metric is not watched."""

    model: str
    metric: str
    minimum: float | None = None
    maximum: float | None = None
    lasting_seconds: float = 0.0
    """For how long a breach must have lasted before an alert opens."""
    severity: Severity = Severity.WARNING

    def is_breached_by(self, value: float) -> bool:
        """Whether a value lies outside. The bounds themselves are well."""
        too_low = self.minimum is not None and value < self.minimum
        too_high = self.maximum is not None and value > self.maximum
        return too_low or too_high

    @property
    def is_watched(self) -> bool:
        """Whether there is a bound at all."""
        return self.minimum is not None or self.maximum is not None


DEAD_LETTERS = "dead_letters"
"""Messages in the dead-letter queue, when the fleet was last counted; of the stack."""


def of_the_stack() -> Threshold:
    """What is watched of the stack itself, while it has a model. An operator may silence it, and sets nothing else."""
    return Threshold(model=NO_MODEL, metric=DEAD_LETTERS, maximum=0.0, severity=Severity.CRITICAL)


COMING_SECONDS = 900.0
"""For how long too few clients must have been active, three counts of a small fleet: they come and go."""


def defaults(model: str, config: RoundConfig | None, *, trains: bool) -> list[Threshold]:
    """What is watched where an operator has set nothing else. `config` is the model's; None when its row cannot be read.

    The bounds of accuracy and loss are those of a classifier. Of a model that is judged by another metric nobody but its
    operator knows which numbers are well: there the gain is watched, and is not when training starts again from the deployed
    version. That clients are there is what training needs; how many should run a model that only serves, its operator knows.
    """
    coming = [
        Threshold(model=model, metric="active_clients", minimum=5),
        Threshold(model=model, metric=ACTIVE_SHARE, minimum=float(ACTIVE.target), lasting_seconds=COMING_SECONDS),
    ]
    always = [
        *(coming if trains else []),
        Threshold(model=model, metric=BURNED, maximum=0.0),
        Threshold(model=model, metric=JUDGES_MISSING, maximum=0.0),
        Threshold(model=model, metric="lost_bits", maximum=0.0, severity=Severity.CRITICAL),
        Threshold(model=model, metric=ROLLOUT_TROUBLE, maximum=0.0, severity=Severity.CRITICAL),
        Threshold(model=model, metric=UNFILLED, maximum=0.0),
        Threshold(model=model, metric=UPLOAD_SUCCESS, minimum=float(UPLOADS.target)),
        Threshold(model=model, metric="unreadable_rows", maximum=0.0, severity=Severity.CRITICAL),
    ]
    if config is None:
        return always
    always.append(Threshold(model=model, metric="round_seconds", maximum=round_limit_seconds(config)))
    if config.monthly_budget is not None:
        always.append(Threshold(model=model, metric=OVER_BUDGET, maximum=0.0))
    if config.metric.name != "accuracy":
        return [*always, Threshold(model=model, metric="gain", minimum=0.0 - config.max_regression)]
    return [
        *always,
        Threshold(model=model, metric="accuracy", minimum=0.5),
        Threshold(model=model, metric="loss", maximum=5.0),
    ]


def effective(model: str, config: RoundConfig | None, stored: Iterable[Threshold], *, trains: bool) -> dict[str, Threshold]:
    """The thresholds of a model by metric: what is stored, before the defaults. One without bounds is there, and unwatched."""
    found = {threshold.metric: threshold for threshold in [*defaults(model, config, trains=trains), *stored]}
    return dict(sorted(found.items()))
