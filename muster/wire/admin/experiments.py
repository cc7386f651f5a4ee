"""Experiments: two or more versions at once, each on a share of some clients, to know which is better."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from muster.wire.admin.cohorts import CohortName
from muster.wire.admin.strategies import Percent, VersionRef
from muster.wire.deciding import DecidingMetric
from muster.wire.messages import Label, Reply, Request

ExperimentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]
ArmName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]

MOST_EXPERIMENTS = 8
"""At once in a model."""


class Arm(Request):
    """One version, and how large a share of the cohort is given it."""

    name: ArmName
    version: VersionRef
    weight: Percent = Field(description="in per cent of the cohort, to hundredths; those of all arms sum to 100")


class StartExperiment(Request):
    """Begin an experiment, if nothing else was deployed since revision `revision`."""

    name: ExperimentName
    arms: Annotated[list[Arm], Field(min_length=2, max_length=8)] = Field(
        description="the first is the control: each of the others is compared with it"
    )
    cohort: CohortName | None = Field(None, description="whose clients take part; null for all")
    metric: DecidingMetric | None = Field(
        None, description="the primary metric, with a minimum and a maximum; null for the one that decides in rounds"
    )
    level: Annotated[float, Field(ge=1e-6, le=0.2)] = Field(
        0.05, description="how probable it may be at most that any of the intervals is wrong"
    )
    least: Annotated[int, Field(ge=2, le=100_000)] = Field(24, description="clients of an arm before which nothing is said")
    horizon_seconds: Annotated[float, Field(ge=1.0, le=366 * 86_400.0)] | None = Field(
        None,
        description="when it ends by itself, and is looked at once, with narrower intervals; null: until an operator ends it, "
        "with intervals that hold at all times",
    )
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator wants to know"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")

    @model_validator(mode="after")
    def _is_a_split(self) -> StartExperiment:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"arms must have different names, got {', '.join(names)}")
        total = sum(round(arm.weight * 100) for arm in self.arms)
        if total != 10_000:
            raise ValueError(f"the arms' weights must sum to 100, got {total / 100:g}")
        return self


class EndExperiment(Request):
    """End an experiment, if nothing else was deployed since revision `revision`: its clients get the deployed version again."""

    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator knows enough"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


class ArmReply(Reply):
    """An arm, and what its clients have reported."""

    name: str
    version: int
    weight: float = Field(description="the share of the cohort that is given it, in per cent")
    clients: int = Field(description="clients that have reported it")
    share: float | None = Field(description="of all that have reported, in per cent; null while nobody has")
    mean: float | None = Field(description="of the metric; null while nobody has reported")


class EffectReply(Reply):
    """An arm beside the control: its mean minus the control's, in units of the metric."""

    arm: str
    finding: Literal["better", "worse", "open"]
    effect: float | None = Field(description="null while either has too few clients, and before a horizon")
    low: float | None = Field(description="the difference lies from here; null as `effect` is")
    high: float | None = Field(description="to here, but for the probability `level` shared by all arms")
    split_is_broken: bool = Field(description="whether so many reports of either cannot come from such weights")


class ExperimentReply(Reply):
    """An experiment, and what is known."""

    experiment: str = Field(description="`<model>.r<revision>`, by the revision in which it began")
    name: str
    model: str
    since: datetime
    cohort: str | None = Field(description="`<name>.<revision>`; null for all clients")
    metric: DecidingMetric
    level: float
    horizon: datetime | None = Field(description="when it ends by itself; null for intervals that hold at all times")
    arms: list[ArmReply]
    effects: list[EffectReply] = Field(description="of each arm but the control")
    said: str = Field(description="the same in a sentence")


class ExperimentList(Reply):
    """The experiments that go on in a model; those that are over are in the history of deployments."""

    revision: int = Field(description="of the deployments")
    experiments: list[ExperimentReply]
