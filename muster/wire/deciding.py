"""The metric by which a model's versions are judged: its name, its direction, its bounds, and what a difference in it means.

    the configuration of a model ──▶ DecidingMetric ──▶ what a judge must report (`unfit`), and its voice (`gain`)

Accuracy, a fraction, unless a model says otherwise. A gain is positive when the candidate is better, whatever the direction.
Numbers of a metric without bounds lie within ±1e30, which is what a message takes; so every gain is finite, and fits a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from muster.wire.messages import Finite, MetricName, Request

LARGEST_NUMBER: Final = 1e30
"""No message holds a number of a larger magnitude (`muster.wire.messages.Finite`)."""

RECORDED = frozenset({
    "abandoned", "accepted_updates", "active_clients", "active_share", "burned_budgets", "clients", "examples", "gain",
    "judges_missing", "late_updates", "lost_bits", "rejected_updates", "rollout_trouble", "round_seconds", "trainer_failures",
    "unfilled_rounds", "unreadable_rows", "upload_success", "uploaded_bytes",
})  # fmt: skip
"""What the server records of rounds and fleet under these names: no judge's metric can have one of them."""

RECORDED_PREFIXES = ("train_", "rejected_", "failed_")
"""What trainers measured, updates by the reason of their rejection, and trainers by the reason of their failure are recorded
under names that begin so.
"""


class DecidingMetric(Request):
    """The metric by which versions are compared. Of accuracy nothing can be chosen: higher is better, and it is a fraction."""

    name: MetricName = Field(description="as judges report it")
    direction: Literal["higher", "lower"] = Field(description="which numbers are better")
    minimum: Finite | None = Field(None, description="no number of it is smaller; null for -1e30")
    maximum: Finite | None = Field(None, description="no number of it is larger; null for 1e30")

    @model_validator(mode="before")
    @classmethod
    def _accuracy_has_its_bounds(cls, said: Any) -> Any:
        bounds = {"minimum": 0.0, "maximum": 1.0}
        return {**bounds, **said} if isinstance(said, dict) and said.get("name") == "accuracy" else said

    @model_validator(mode="after")
    def _can_decide(self) -> DecidingMetric:
        if self.name in RECORDED or self.name.startswith(RECORDED_PREFIXES):
            raise ValueError(
                f"name must be none under which the server records something else ({', '.join(sorted(RECORDED))}, "
                f"{', '.join(f'{prefix}…' for prefix in RECORDED_PREFIXES)}), got {self.name}"
            )
        if self.name == "accuracy" and (self.direction, self.minimum, self.maximum) != ("higher", 0.0, 1.0):
            raise ValueError(
                "of accuracy higher is better, from 0 to 1; expected another name for another metric, "
                f"got {self.direction}, from {self.lowest:g} to {self.highest:g}"
            )
        if self.lowest >= self.highest:
            raise ValueError(f"minimum must be below maximum ({self.highest:g}), got {self.lowest:g}")
        return self

    @property
    def lowest(self) -> float:
        """The smallest number that a judge may report."""
        return -LARGEST_NUMBER if self.minimum is None else self.minimum

    @property
    def highest(self) -> float:
        """The largest one."""
        return LARGEST_NUMBER if self.maximum is None else self.maximum

    @property
    def span(self) -> float:
        """The largest difference that there can be, at most 2e30."""
        return self.highest - self.lowest

    @property
    def is_a_fraction(self) -> bool:
        """Whether it lies from 0 to 1, so that the default margins mean something in it."""
        return (self.lowest, self.highest) == (0.0, 1.0)

    @property
    def worst(self) -> float | None:
        """The worst number there is, which stands for a version of which nothing finite can be measured; None without bound."""
        return self.minimum if self.direction == "higher" else self.maximum

    def gain(self, candidate: float | None, deployed: float | None) -> float:
        """By how much a candidate is better, within ±`span`.

        None is a version of which nothing finite could be measured: it is as far below any other as can be, and two of them
        are alike.
        """
        if candidate is None or deployed is None:
            return self.span * (float(deployed is None) - float(candidate is None))
        return candidate - deployed if self.direction == "higher" else deployed - candidate

    def unfit(self, metrics: Mapping[str, float]) -> tuple[str, str] | None:
        """Why a measurement cannot be compared, as what was expected and what came; None when it can be."""
        found = metrics.get(self.name)
        if found is not None and self.lowest <= found <= self.highest:
            return None
        expected = f"{self.name}, the metric that decides, from {self.lowest:g} to {self.highest:g}"
        return expected, f"{self.name} {found:g}" if found is not None else ", ".join(sorted(metrics)) or "no metrics"

    def __str__(self) -> str:
        return f"{self.name}, {self.direction} is better"


ACCURACY: Final = DecidingMetric(name="accuracy", direction="higher")
"""What decides unless a model says otherwise."""
