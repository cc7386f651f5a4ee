"""Cohorts: named sets of clients, by what a client says of itself and by a stable share of the fleet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from muster.wire.admin.strategies import in_hundredths
from muster.wire.messages import Finite, Label, MetricName, Reply, Request, Scalar

CohortName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]

MOST_COHORTS = 64
"""In a fleet: each is counted with each client."""

Labels = Annotated[list[Label], Field(max_length=16)]


class Between(Request):
    """Numbers from `minimum` to `maximum`, both included; null is no bound."""

    minimum: Finite | None = None
    maximum: Finite | None = None

    @model_validator(mode="after")
    def _holds_something(self) -> Between:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give minimum, maximum, or both")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum must not be above maximum ({self.maximum:g}), got {self.minimum:g}")
        return self

    def has(self, value: object) -> bool:
        """Whether a value is a number between the two."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)


class LayerSlice(Request):
    """A part of the fleet, always the same: of a layer's hundred per cent those from `begins` to `ends`.

    In one layer each client has one place, so two slices that do not overlap share nobody. Its places in two layers have
    nothing to do with each other. (After Tang et al., "Overlapping Experiment Infrastructure", KDD 2010.)
    """

    layer: MetricName = "fleet"
    begins: Annotated[float, Field(ge=0.0, lt=100.0)] = 0.0
    ends: Annotated[float, Field(gt=0.0, le=100.0)]

    @model_validator(mode="after")
    def _holds_something(self) -> LayerSlice:
        for end in (self.begins, self.ends):
            in_hundredths(end)
        if self.begins >= self.ends:
            raise ValueError(f"begins must be below ends ({self.ends:g}), got {self.begins:g}")
        return self

    @property
    def places(self) -> range:
        """The places from 0 to 9,999 that it holds."""
        return range(round(self.begins * 100), round(self.ends * 100))


class CohortRule(Request):
    """Which clients belong to a cohort: those of whom all that is given holds."""

    device_types: Labels = Field([], description="one of these; empty for any")
    sdk_versions: Labels = Field([], description="one of these; empty for any")
    capabilities: Annotated[dict[MetricName, Scalar | Between], Field(max_length=16)] = Field(
        {}, description="what a client says that it has: exactly that value, or a number between two"
    )
    slice: LayerSlice | None = Field(None, description="a stable share of the fleet; null for all of it")

    @model_validator(mode="after")
    def _says_something(self) -> CohortRule:
        if not (self.device_types or self.sdk_versions or self.capabilities or self.slice):
            raise ValueError("give at least one of device_types, sdk_versions, capabilities and slice")
        return self


class SetCohort(Request):
    """Make a cohort, or the next revision of one, if it has the revision that the operator saw."""

    rule: CohortRule
    revision: Annotated[int, Field(ge=0, lt=10**8)] = Field(
        description="the cohort's revision that the operator saw; 0 for a name that is free"
    )
    because: Label = "an operator wants it"
    dry_run: bool = Field(False, description="answer what would be, and change nothing")


class CohortReply(Reply):
    """A cohort as it is now. What began with an earlier revision goes on with that one."""

    cohort: str
    revision: int
    rule: CohortRule
    at: datetime
    because: str
    by: str | None
    active: int | None = Field(description="clients in it that are active; null until the next census has counted it")
    counted_at: datetime | None


class CohortList(Reply):
    """All cohorts, by name."""

    cohorts: list[CohortReply]
