"""How a model's clients come from one version to the next."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from muster.wire.deciding import DecidingMetric
from muster.wire.messages import Request

VersionRef = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
"""One version of a model: its number (`7`), its id (`digits.v7`), an alias (`champion`, `challenger`), `newest`, or a state
(`deployed`, `staged`, ...: the newest in it)."""

StrategyKind = Literal["immediate", "rolling", "canary", "blue-green"]


def in_hundredths(percent: float) -> float:
    """A share, if it is told in hundredths of a per cent.

    Raises:
        ValueError: it is told more finely.
    """
    if abs(percent * 100 - round(percent * 100)) > 1e-6:
        raise ValueError(f"a share must be told in hundredths of a per cent, such as 2.25, got {percent!r}")
    return round(percent * 100) / 100


Percent = Annotated[float, Field(ge=0.01, le=100.0), AfterValidator(in_hundredths)]
"""A share of the fleet; 0.01 is a client in ten thousand."""


class GuardRule(Request):
    """What counts as worse in what clients report of the version that they run, and how sure one has to be (docs/rollouts.md).

    Each client counts once in a rollout. The differences of means lie in an interval that holds at all times at once, so the
    guard looks on every tick (decision 25).
    """

    metric: DecidingMetric | None = Field(
        None, description="what clients report, with a minimum and a maximum; null for the metric that decides in rounds"
    )
    margin: Annotated[float, Field(gt=0.0, le=1e30)] | None = Field(
        None,
        description="by so much, in units of the metric, a candidate may be worse; null: a twentieth of its span; at most half",
    )
    level: Annotated[float, Field(gt=0.0, le=0.2)] = Field(
        0.05, description="how probable it may be at most that a candidate is ever called worse that is not, or the reverse"
    )
    liars: Annotated[float, Field(ge=0.0, le=0.25)] = Field(
        0.0, description="the share of clients that may report anything without deciding anything; it costs many reports"
    )
    least: Annotated[int, Field(ge=2, le=100_000)] = Field(
        24, description="reports of either version before which nothing is said"
    )


class Strategy(Request):
    """How clients come from the deployed version to another one.

    immediate    all at once
    rolling      `steps` of the fleet, each for `pause_seconds`, then all
    canary       as rolling, but a step is only left when `guard` has found that the candidate is not worse
    blue-green   nobody, until `warm` per cent of the active clients have the candidate on their disks; then all
    """

    kind: StrategyKind
    steps: Annotated[list[Percent], Field(max_length=20)] = Field(
        [], description="shares of the fleet, in per cent, each larger than the one before; all of it comes after the last"
    )
    pause_seconds: Annotated[float, Field(ge=1.0, le=31 * 86_400.0)] = Field(
        3_600.0, description="how long each step lasts at least; of blue-green, how long the old version is kept ready after it"
    )
    guard: GuardRule | None = Field(
        None, description="takes a candidate back that clients find worse; a canary has one in any case"
    )
    window_seconds: Annotated[float, Field(ge=1.0, le=7 * 86_400.0)] = Field(
        600.0, description="reports of so long are looked at together"
    )
    patience: Annotated[int, Field(ge=1, le=1_000)] = Field(
        6,
        description="windows without a report of the candidate after which it is paused; after as many again it is taken back",
    )
    warm: Annotated[float, Field(ge=1.0, le=100.0)] = Field(90.0, description="of the active clients, in per cent")

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> Strategy:
        in_steps = self.kind in ("rolling", "canary")
        if in_steps and not self.steps:
            raise ValueError(f"steps must be given with {self.kind}, such as [5, 25]")
        if not in_steps and self.steps:
            raise ValueError(f"steps must not be given with {self.kind}, which has none")
        if any(later <= earlier for earlier, later in pairwise(self.steps)):
            raise ValueError(f"steps must each be larger than the one before: nobody is sent back, got {self.steps}")
        if self.steps and self.steps[-1] >= 100.0:
            raise ValueError(f"steps must be below 100: all of the fleet comes after the last one, got {self.steps[-1]:g}")
        if self.guard is not None and not in_steps:
            raise ValueError(f"guard must not be given with {self.kind}, in which no client runs the other version meanwhile")
        return self

    def settled(self, deciding: DecidingMetric) -> Strategy:
        """The same with nothing left to the model: a guard with its metric and its margin, where it has one. `deciding` is the
        metric that decides in the model's rounds.

        Raises:
            ValueError: the metric has no bounds between which a difference means something, or the margin is more than half of
                what lies between them, or they are too near to each other for any.
        """
        if self.guard is None and self.kind != "canary":
            return self
        rule = self.guard or GuardRule()
        metric = rule.metric or deciding
        if metric.minimum is None or metric.maximum is None:
            raise ValueError(
                "a guard needs a metric with a minimum and a maximum, so that one client moves a mean by no more than its "
                f"share: give guard.metric with both, such as the numbers between which {metric.name} mostly lies; one beyond "
                "them counts as the nearer"
            )
        margin = metric.span / 20.0 if rule.margin is None else rule.margin
        if not 0.0 < margin <= metric.span / 2.0:
            half = metric.span / 2.0
            raise ValueError(
                f"guard.margin must be above 0 and at most half of the span of {metric.name}, {half:g}, got {margin:g}"
            )
        return self.model_copy(update={"guard": rule.model_copy(update={"metric": metric, "margin": margin})})


IMMEDIATE = Strategy(kind="immediate")
"""What there is unless a model says otherwise."""

CANARY = Strategy(kind="canary", steps=[5.0, 25.0])
"""What a rollout is where neither who begins it nor the model says otherwise."""
