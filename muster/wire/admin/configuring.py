"""How the rounds of a model run, and the history of that."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from muster.wire.admin.cohorts import CohortName
from muster.wire.admin.strategies import Strategy
from muster.wire.deciding import ACCURACY, LARGEST_NUMBER, DecidingMetric
from muster.wire.encodings import Encoding
from muster.wire.hyperparameters import MOST_HYPERPARAMETERS, Schemas, check
from muster.wire.messages import ClientId, Finite, Label, MetricName, Reply, Request, Scalar, Whole
from muster.wire.scheduling import Schedule


class Rule(Request):
    """A rule of the aggregation by its name, and its parameters (docs/aggregation.md)."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    parameters: Annotated[dict[MetricName, bool | Whole | Finite], Field(max_length=16)] = Field({})


class Clipping(Request):
    """Updates with a larger L2 norm (over all float tensors) are scaled down to it."""

    norm: Annotated[float, Field(gt=0.0, le=1e30)] = Field(description="the norm; of the adaptive kind the first one")
    adaptive: bool = Field(False, description="let the norm follow a quantile of the updates' norms")
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.2, description="how fast it follows")


FEWEST = 3
"""Among fewer updates nobody is an outlier: of two, who is to say which one is too long?"""


class Outliers(Request):
    """Updates whose L2 norm (over all float tensors) lies too far above the others of their round are not aggregated."""

    deviations: Annotated[float, Field(ge=1.0, le=1000.0)] = Field(
        6.0, description="how many scaled median absolute deviations above the median is too far (docs/aggregation.md)"
    )
    least: Annotated[int, Field(ge=FEWEST, le=100_000)] = Field(
        FEWEST, description="accepted updates below which nobody is an outlier"
    )


Off = Literal["none"]
"""How a configuration says that a guard which is on by default is off: by name, so that what is stored says it too."""


def _null_is_none(value: object) -> object:
    return "none" if value is None else value


OutlierRule = Annotated[Outliers | Off, BeforeValidator(_null_is_none)]
"""null, in what was stored before the rule was a default, is "none"."""


Readiness = Literal["charging", "idle", "unmetered"]
"""What a device can say of its state at a check-in."""

REMEMBERED_ROUNDS = 32
"""Accepted updates of a client, the last ones, that are remembered: what looks further back cannot be asked for."""

MOST_SITES = 100


class Frequency(Request):
    """At most so many times in so many rounds, this one included."""

    times: Annotated[int, Field(ge=1, le=REMEMBERED_ROUNDS - 1)]
    rounds: Annotated[int, Field(ge=2, le=REMEMBERED_ROUNDS)]

    @model_validator(mode="after")
    def _is_a_limit(self) -> Frequency:
        if self.times >= self.rounds:
            raise ValueError(f"times must be less than rounds ({self.rounds}), or it forbids nothing, got {self.times}")
        return self


class RoundConfig(Request):
    """How the rounds of a model run. Frozen into each round when it opens."""

    goal: Annotated[int, Field(ge=1, le=100_000)] = Field(description="accepted updates that close the round")
    quorum: Annotated[int, Field(ge=1, le=100_000)] = Field(description="accepted updates below which it is abandoned")
    over_selection: Annotated[float, Field(ge=1.0, le=10.0)] = Field(1.3, description="clients admitted, as a multiple of goal")
    report_seconds: Annotated[float, Field(gt=0, le=43_200)] = Field(600.0, description="from opening to the deadline")
    every_seconds: Annotated[float, Field(ge=0, le=31 * 86_400.0)] = Field(
        0.0, description="from one opening to the next at the least; 0: a round opens as soon as the one before is done"
    )
    grace_seconds: Annotated[float, Field(ge=0, le=600)] = Field(60.0, description="after it, for reports still inspected")
    aggregate_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        21_600.0, description="from the close to the version; a round that takes longer is abandoned"
    )
    evaluators: Annotated[int, Field(ge=0, le=10_000)] = Field(15, description="clients that judge a candidate; 0 for none")
    evaluation_quorum: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="judges without whom nothing is deployed; null for a third of the evaluators, but at least 3"
    )
    evaluation_level: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        0.2,
        description="how probable it may be at most that judges find a candidate better that is not (docs/judging.md)",
    )
    evaluation_liars: Literal[0] | Annotated[int, Field(ge=3, le=1_000)] = Field(
        5, description="one judge in so many may lie without deciding anything; 0 for judges that are trusted"
    )
    evaluate_seconds: Annotated[float, Field(gt=0, le=43_200)] = 300.0
    metric: DecidingMetric = Field(ACCURACY, description="the metric that decides, which every judge has to measure")
    min_gain: Annotated[float, Field(ge=0.0, le=LARGEST_NUMBER)] = Field(
        0.01, description="gain above which it is deployed, in units of the metric; to be given unless that is a fraction"
    )
    max_regression: Annotated[float, Field(ge=0.0, le=LARGEST_NUMBER)] = Field(
        0.05,
        description="loss against the deployed version, in units of the metric, beyond which training does not go on from the "
        "candidate; to be given unless that is a fraction",
    )
    weighting: Literal["examples", "uniform"] = "examples"
    max_examples: Annotated[int, Field(ge=1, le=10**9)] = Field(10_000, description="cap on one client's weight")
    aggregator: Rule = Field(Rule(name="mean"), description="what makes one update of many")
    optimizer: Rule = Field(Rule(name="sgd"), description="what moves the model by it")
    clipping: Clipping | None = None
    outliers: OutlierRule = Field(Outliers(), description='which updates are too long beside the others; "none": no one is')
    max_norm: Annotated[float, Field(gt=0.0, le=1e30)] | None = Field(
        None,
        description="the largest L2 norm of an update (over all float tensors) that is accepted; null for 10,000 times that of "
        "its base plus one",
    )
    max_claim_ratio: Annotated[float, Field(ge=1.0, le=1e6)] | Off = Field(
        2.0, description="cap on one client's weight, as a multiple of the round's median claim, beside `max_examples`"
    )
    max_count: Annotated[int, Field(ge=1, lt=2**63)] | Off = Field(
        1_000_000, description="the most by which one update may move a counter (an element of an integer tensor)"
    )
    encoding: Encoding = Field(
        "plain", description="how devices that can do so write their updates: plain, float32, float16, bfloat16 or int8"
    )
    cohort: CohortName | None = Field(
        None, description="whose clients train; null for all. A round keeps the cohort's rule of when it opened"
    )
    requires: Annotated[list[Readiness], Field(max_length=3)] = Field(
        [], description="what a device must say of its state when it checks in, to train"
    )
    lottery: bool = Field(False, description="draw places by lot where many more wait than there are places; false: first come")
    rest_rounds: Annotated[int, Field(ge=0, lt=REMEMBERED_ROUNDS)] = Field(
        0, description="rounds that a client sits out after one in which its update was accepted"
    )
    most_often: Frequency | None = Field(None, description="how often a client's update may be accepted; null for no limit")
    sites: Annotated[list[ClientId], Field(max_length=MOST_SITES)] = Field(
        [], description="clients without whose updates a round is abandoned; each has a place that waits for it"
    )
    strategy: Strategy | None = Field(
        None, description="how clients come to a version that is deployed, by a round or an operator; null for all at once"
    )
    keep_versions: Annotated[int, Field(ge=2, le=100_000)] | None = Field(
        None,
        description="how many of the model's last versions are kept, beside those that something points at; null for all "
        "(docs/operations.md)",
    )
    monthly_budget: Annotated[float, Field(gt=0.0, le=1e9)] | None = Field(
        None,
        description="dollars that the model may use in a calendar month (UTC), as its functions count them (docs/cost.md): "
        "training pauses before a round could exceed it; null for no limit",
    )
    keep_updates: bool = Field(False, description="keep the devices' updates after publication, so that it can be replayed")
    hyperparameters: Annotated[dict[MetricName, Scalar | Schedule], Field(max_length=MOST_HYPERPARAMETERS)] = Field(
        {}, description="given to each trainer; one may change from round to round: a ramp, steps, or a table"
    )
    hyperparameter_schema: Schemas | None = Field(
        None, description="what trainers understand of them: anything else is refused; null: nothing is known, and all is given"
    )
    seed: Annotated[int, Field(ge=0, lt=2**53)] = Field(
        0, description="from which, with the round's number and its own id, each device's seed is drawn"
    )

    @model_validator(mode="after")
    def _numbers_fit_each_other(self) -> RoundConfig:
        if self.quorum > self.goal:
            raise ValueError(f"quorum must not exceed goal ({self.goal}), got {self.quorum}")
        if self.evaluators and (self.evaluation_quorum or 0) > self.evaluators:
            raise ValueError(f"evaluation_quorum must not exceed evaluators ({self.evaluators}), got {self.evaluation_quorum}")
        if len(set(self.sites)) < len(self.sites):
            raise ValueError("sites must differ from one another")
        if len(self.sites) > self.goal:
            raise ValueError(f"sites must not be more than goal ({self.goal}), got {len(self.sites)}")
        if self.outliers != "none" and self.outliers.least > max(self.goal, FEWEST):
            raise ValueError(f"outliers.least must not exceed goal ({self.goal}), got {self.outliers.least}")
        return self

    @model_validator(mode="after")
    def _hyperparameters_are_understood(self) -> RoundConfig:
        if self.hyperparameter_schema is not None:
            check(self.hyperparameter_schema, self.hyperparameters)
        return self

    @model_validator(mode="after")
    def _margins_fit_the_metric(self) -> RoundConfig:
        metric = self.metric
        for margin in ("min_gain", "max_regression"):
            if margin not in self.model_fields_set and not metric.is_a_fraction:
                raise ValueError(
                    f"{margin} is required with the metric {metric.name}, in its own units: it has no default there"
                )
            if getattr(self, margin) > metric.span:
                raise ValueError(
                    f"{margin} must not exceed the largest difference in {metric.name} ({metric.span:g}), "
                    f"got {getattr(self, margin):g}"
                )
        return self

    @model_validator(mode="after")
    def _strategy_can_be_guarded(self) -> RoundConfig:
        if self.strategy is not None:
            self.strategy.settled(self.metric)
        return self

    @property
    def judges_needed(self) -> int:
        """Judges without whom nothing is deployed."""
        return self.evaluation_quorum or min(self.evaluators, max(3, -(-self.evaluators // 3)))


class Configure(Request):
    """Run the model's rounds so from the next one on, if nothing else was decided since revision `revision`."""

    config: RoundConfig
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the revision that the operator saw")
    because: Label = "an operator configured it"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


class ConfigurationReply(Reply):
    """One revision of how a model's rounds are run."""

    model: str
    revision: int
    config: RoundConfig
    at: datetime
    because: str
    by: str | None = Field(description="the operator, where the request said who it was")


class ConfigurationList(Reply):
    """The history of a model's configuration, newest first, one page. It only grows."""

    configurations: list[ConfigurationReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")
