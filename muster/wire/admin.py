"""What operators and the server say to each other. The habits are those of `muster.wire.messages`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from muster.wire.deciding import ACCURACY, LARGEST_NUMBER, DecidingMetric
from muster.wire.encodings import Encoding
from muster.wire.messages import (
    MAX_CHECKPOINT_BYTES,
    Checkpoint,
    ClientId,
    Finite,
    Label,
    MetricName,
    Metrics,
    ModelName,
    Query,
    Reply,
    Request,
    Scalar,
    Sha256,
    Whole,
)
from muster.wire.scheduling import Schedule

VersionRef = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
"""One version of a model: its number (`7`), its id (`digits.v7`), an alias (`champion`, `challenger`), `newest`, or a state
(`deployed`, `staged`, ...: the newest in it)."""

VersionState = Literal["training", "staged", "deployed", "retired", "rolled-back"]

LONGEST_QUERY_HOURS = 455 * 24
"""CloudWatch keeps a metric for 455 days (CloudWatch: "Metrics retention")."""


class Page(Query):
    """A page of a numbered list, newest first."""

    before: Annotated[int, Field(ge=0, lt=10**8)] | None = Field(None, description="only numbers below this one")


# ---- tokens and clients


class MintToken(Request):
    """A token that lets at most `uses` devices enrol, for a while, and only those that its scope names."""

    uses: Annotated[int, Field(ge=1, le=5_000)]
    expires_in_seconds: Annotated[float, Field(gt=0, le=90 * 86_400)] = 86_400.0
    label: Label = "devices"
    models: Annotated[list[ModelName], Field(min_length=1, max_length=16)] | None = Field(
        None, description="the models that its devices may train and run; null for all"
    )
    device_types: Annotated[list[Label], Field(min_length=1, max_length=16)] | None = Field(
        None, description="the device types that may enrol with it; null for all"
    )


class MintedToken(Reply):
    """The token, shown this once; the server keeps a hash."""

    token: str
    token_id: str
    uses: int
    expires_at: datetime


class TokenReply(Reply):
    """A token as operators see it; never its secret."""

    token_id: str
    label: str
    state: Literal["active", "used-up", "expired", "revoked"]
    uses: int
    claimed: int = Field(description="uses that are taken")
    models: list[str] | None
    device_types: list[str] | None
    created_at: datetime
    expires_at: datetime


class After(Query):
    """A page of a list without numbers."""

    after: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        None, description="what the last page gave as `after`"
    )


class TokenList(Reply):
    """Enrolment tokens, in no particular order, one page."""

    tokens: list[TokenReply]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class ClientPage(After):
    """A page of clients, perhaps only some of them."""

    state: Literal["active", "revoked"] | None = Field(None, description="only clients whose key is, or is no longer, good")
    device_type: Label | None = None
    model: ModelName | None = Field(None, description="only clients that said at their last heartbeat that they run this model")
    alive: bool | None = Field(None, description="only clients that were, or were not, seen within the heartbeat timeout")


class ClientReply(Reply):
    """A client as operators see it; never its key."""

    client_id: str
    state: Literal["active", "revoked"]
    alive: bool = Field(description="whether its key is good and it was seen within the heartbeat timeout")
    device_type: str
    sdk_version: str
    capabilities: dict[str, bool | int | float | str]
    enrolled_at: datetime
    last_seen_at: datetime
    key_rotated_at: datetime | None
    models: list[str] | None = Field(description="the models it may train and run; null for all")
    model: str | None
    version: int | None = Field(description="what it said it runs, at its last heartbeat")
    rounds: int = Field(description="rounds in which its update passed inspection, whatever became of it then")
    samples: int = Field(description="examples that those updates were trained on")


class ClientList(Reply):
    """Clients, in no particular order, one page. A page may be short, even empty, and yet not be the last."""

    clients: list[ClientReply]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class FleetStatistics(Reply):
    """The fleet, counted from its clients' rows in the background: nobody scans a table to answer this."""

    clients: int = Field(description="enrolled clients whose key is good")
    active: int = Field(description="those of them that were seen within the heartbeat timeout")
    revoked: int
    by_device_type: dict[str, int]
    active_by_model: dict[str, int] = Field(description="active clients by the model they said they run")
    rounds: int = Field(description="updates that passed inspection, over all clients")
    samples: int = Field(description="examples that those were trained on")
    max_clients: int
    heartbeat_timeout_seconds: float
    counted_at: datetime | None = Field(description="when the oldest part of this was counted; null before the first count")


# ---- models


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


class RoundConfig(Request):
    """How the rounds of a model run. Frozen into each round when it opens."""

    goal: Annotated[int, Field(ge=1, le=100_000)] = Field(description="accepted updates that close the round")
    quorum: Annotated[int, Field(ge=1, le=100_000)] = Field(description="accepted updates below which it is abandoned")
    over_selection: Annotated[float, Field(ge=1.0, le=10.0)] = Field(1.3, description="clients admitted, as a multiple of goal")
    report_seconds: Annotated[float, Field(gt=0, le=43_200)] = Field(600.0, description="from opening to the deadline")
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
    keep_updates: bool = Field(False, description="keep the devices' updates after publication, so that it can be replayed")
    hyperparameters: Annotated[dict[MetricName, Scalar | Schedule], Field(max_length=32)] = Field(
        {}, description="given to each trainer; one may change from round to round: a ramp, steps, or a table"
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
        if self.outliers != "none" and self.outliers.least > max(self.goal, FEWEST):
            raise ValueError(f"outliers.least must not exceed goal ({self.goal}), got {self.outliers.least}")
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

    @property
    def judges_needed(self) -> int:
        """Judges without whom nothing is deployed."""
        return self.evaluation_quorum or min(self.evaluators, max(3, -(-self.evaluators // 3)))


class CheckpointUpload(Request):
    """An operator is about to upload a checkpoint."""

    bytes: Annotated[int, Field(ge=10, le=MAX_CHECKPOINT_BYTES)]
    sha256: Sha256


class CreateModel(Request):
    """A model, its configuration, and the checkpoint that becomes version 0 and is deployed."""

    name: ModelName
    config: RoundConfig
    checkpoint: CheckpointUpload


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


class Training(Request):
    """Whether rounds open by themselves, and how many must have completed, in the model's whole life, before they rest."""

    state: Literal["running", "stopped"]
    rounds: Annotated[int, Field(ge=1, le=10**6)] | None = None

    @model_validator(mode="after")
    def _running_names_its_end(self) -> Training:
        if (self.state == "running") != (self.rounds is not None):
            raise ValueError("rounds is required for running, and must be absent for stopped")
        return self


class TrainingReply(Reply):
    """Where a model's training stands."""

    state: Literal["running", "stopped"]
    rounds_completed: int
    rounds_wanted: int


class ModelSummary(Reply):
    """One line of the list of models."""

    model: str
    created_at: datetime
    training: Literal["running", "stopped"]
    rounds_wanted: int


class ModelList(Reply):
    """All models, by name."""

    models: list[ModelSummary]


# ---- rounds


class RoundReply(Reply):
    """A round as operators see it. Counts are derived from its receipts, never from counters."""

    round: str
    number: int
    phase: Literal["collecting", "aggregating", "evaluating", "completed", "abandoned", "unreadable"] = Field(
        description="unreadable: its row is of another release, or damaged; only its number is known; `abandon` takes it away"
    )
    config_revision: int | None = Field(description="of the configuration that it opened with; null of an unreadable round")
    base_version: int | None = Field(description="null of an unreadable round, as are the next two")
    opened_at: datetime | None
    report_by: datetime | None
    closed_at: datetime | None
    finished_at: datetime | None
    assigned: int
    reported: int
    accepted: int
    rejected: dict[str, int]
    late: int
    uploaded_bytes: int
    examples: int
    evaluations: int
    version: int | None
    metric: DecidingMetric | None = Field(None, description="what decides in this round; null of an unreadable one")
    gain: float | None = Field(description="of its version over the one that was deployed, in units of the metric")
    deployed: bool
    reason: str | None = Field(description="why it was abandoned, or why its version was not deployed")


class RoundList(Reply):
    """Rounds, newest first, one page."""

    rounds: list[RoundReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class RoundFilesPage(Query):
    """A page of the files that a round's version was made of."""

    after: ClientId | None = Field(None, description="only updates of clients after this one, in the manifest's order")


class RoundFile(Reply):
    """A file that a round's version was made of."""

    kind: Literal["manifest", "base", "state", "update"]
    name: str | None = Field(description="the client of an update, the letter of an optimizer's state; null for the others")
    sha256: str
    bytes: int | None = Field(description="null for the manifest")
    url: str = Field(description="presigned GET; do not log it")


class RoundFileList(Reply):
    """The files that a round's version was made of, one page: first manifest, base and state, then updates by client."""

    round: str
    version: int = Field(description="what was made of them")
    files: list[RoundFile]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class AbandonRound(Request):
    """End an open round. What is deployed stays deployed."""

    because: Label = "an operator abandoned it"


# ---- versions and deployments


class VersionPage(Page):
    """A page of versions, perhaps only those in one state."""

    state: VersionState | None = None


class RegisterVersion(Request):
    """An uploaded checkpoint becomes the model's next version. It must have the model's tensors."""

    checkpoint: CheckpointUpload
    metrics: Metrics = Field({}, description="what the operator measured; finite, because JSON knows no infinity")
    note: Label | None = None


class JudgedReply(Reply):
    """What a version's judges said of it beside `parent`, which was deployed then. One judge, one voice (docs/judging.md).

    Two versions had different judges. What compares them is the gain of each over the one that the same judges measured.
    """

    judges: int
    better: int = Field(description="judges that found it better than its parent")
    worse: int = Field(description="judges that found it worse; the others saw no difference")
    gain: float = Field(
        description="the midmean of the differences in the metric of `config`: the mean of their middle half; above 0 is better"
    )
    p: float = Field(description="how probable so many voices were, were it not better, and as many bought as may lie")
    examples: int = Field(description="the median of the examples that the judges say they measured on")


class VersionReply(Reply):
    """A version and its lineage."""

    id: str = Field(description="`<model>.v<number>`; unique for ever")
    version: int
    round: int | None = Field(description="the round that made it; null when an operator registered it")
    base: int | None = Field(description="the version from which that round started")
    parent: int | None = Field(description="what was deployed when it was made")
    state: VersionState
    aliases: list[Literal["champion", "challenger"]]
    created_at: datetime
    manifest_sha256: str | None
    document_sha256: str
    document_url: str = Field(description="presigned GET of the version's document; do not log it")
    config: RoundConfig
    metrics: dict[str, float]
    evaluation: dict[str, float] | None = Field(description="midmeans over its judges, who were its own: see `judged`")
    judged: JudgedReply | None = None
    note: str | None
    checkpoint: Checkpoint


class VersionList(Reply):
    """Versions, newest first, one page. A page may be short, even empty, and yet not be the last."""

    versions: list[VersionReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class Deploy(Request):
    """Serve a version from now on, if nothing else was deployed since revision `revision`."""

    version: VersionRef
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator deployed it"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


class Rollback(Request):
    """Go back along the history of deployments, if nothing else was deployed since revision `revision`."""

    steps: Annotated[int, Field(ge=1, le=100)] = 1
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator rolled back"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


class DeploymentReply(Reply):
    """One revision of what a model's clients are served."""

    model: str
    revision: int
    version: int
    kind: Literal["deployed", "rolled-back"]
    left: list[int] = Field(description="the versions that a rollback went past: they are rolled back")
    previous: int | None = Field(description="the revision to which one step of rollback leads; null at the end of the history")
    at: datetime
    because: str
    by: str | None = Field(description="the operator; null when a round decided")
    round: int | None


class DeploymentList(Reply):
    """The history of deployments, newest first, one page. It only grows."""

    deployments: list[DeploymentReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


# ---- metrics and alerts


class MetricQuery(Query):
    """One metric over the last hours."""

    name: MetricName
    hours: Annotated[int, Field(ge=1, le=LONGEST_QUERY_HOURS)] = 1


class MetricPoint(Reply):
    """One recorded value and what it belongs to."""

    at: datetime
    value: float
    version: int | None
    round: int | None


class MetricReply(Reply):
    """A metric over some hours, as CloudWatch has it, and its recent points. Without values the aggregates are null."""

    model: str
    name: str
    hours: int
    count: int
    mean: float | None
    min: float | None
    max: float | None
    sum: float | None
    points: list[MetricPoint] = Field(description="points of the last hours, oldest first, as far back as they are kept")


class MetricSummary(Reply):
    """A metric over the last hour, from its recent points."""

    count: int
    mean: float
    min: float
    max: float
    sum: float
    last: float


class SetThreshold(Request):
    """The bounds within which a metric is well. Without either the metric is not watched."""

    minimum: Finite | None = None
    maximum: Finite | None = None

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> SetThreshold:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum must not exceed maximum ({self.maximum}), got {self.minimum}")
        return self


class ThresholdReply(Reply):
    """A metric that is watched."""

    model: str
    metric: str
    minimum: float | None
    maximum: float | None
    is_default: bool
    value: float | None = Field(description="the newest recorded value; null when none is recent")
    in_breach: bool


class ThresholdList(Reply):
    """The thresholds of a model, by metric."""

    thresholds: list[ThresholdReply]


class AlertReply(Reply):
    """A metric that left its bounds: once open until it recovers, whatever happens in between."""

    model: str
    metric: str
    number: int = Field(description="the metric's first alert is 1")
    state: Literal["open", "acknowledged", "cleared"]
    value: float = Field(description="when it opened")
    minimum: float | None
    maximum: float | None
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    cleared_at: datetime | None


class AlertList(Reply):
    """Alerts of a model: those that are open, and the last that were cleared, newest first."""

    alerts: list[AlertReply]


class ModelStatus(Reply):
    """Everything about one model in one call."""

    model: str
    config: RoundConfig
    config_revision: int
    training: TrainingReply
    deployed_version: int
    deployment_revision: int
    newest_version: int
    round: RoundReply | None
    clients: FleetStatistics
    alerts: list[AlertReply] = Field(description="those that are open")
    metrics: dict[str, MetricSummary] = Field(description="the last hour's, by name")
