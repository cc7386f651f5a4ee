"""Every HTTP body, both ways. The OpenAPI document and the SDK are made from these models; there is no other list.

Requests forbid what they do not know and bound everything they hold. Replies ignore what they do not know, so that a
device in the field outlives the server's next release. Times are UTC (RFC 3339); durations and sizes carry their unit in
the name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

BODY_LIMIT_BYTES = 64 * 1024
"""No request body is larger; tensors never travel through the API."""

MAX_CHECKPOINT_BYTES = 512 * 1024 * 1024
"""The largest checkpoint that an operator may register through the API."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]
ClientId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{2,63}$")]
RoundId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}\.[1-9][0-9]{0,7}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Secret = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,128}$")]
TokenText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{8,32}\.[A-Za-z0-9_-]{22,128}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,64}$")]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Scalar = bool | int | Finite | Label
Metrics = Annotated[dict[MetricName, Finite], Field(max_length=16)]
Examples = Annotated[int, Field(ge=1, le=10**9)]
VersionNumber = Annotated[int, Field(ge=0, le=10**8)]


class Request(BaseModel):
    """What a caller sends: strict, closed, bounded."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Reply(BaseModel):
    """What the server answers: open to members that a later release adds."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ProblemDocument(Reply):
    """A refusal (RFC 9457). `type` names it; `expected` and `got` say what would have been accepted, and what came."""

    type: str
    title: str
    status: int
    detail: str
    expected: str | None = None
    got: str | None = None


# ---- clients


class Enrolment(Request):
    """A device asks for a key. Sent again with the same `proof`, it is answered with the same key."""

    token: TokenText
    client_id: ClientId
    proof: Secret = Field(description="random, made and kept by the device: whoever repeats it is the same device")
    device_type: Label
    sdk_version: Label
    capabilities: Annotated[dict[MetricName, Scalar], Field(max_length=16)] = {}


class Enrolled(Reply):
    """The device's credential. The server keeps only a hash of it."""

    client_id: str
    key: str = Field(description="the whole bearer credential, `<client_id>.<secret>`")
    heartbeat_seconds: float


class Heartbeat(Request):
    """A device says that it lives, and what it runs."""

    model: ModelName | None = None
    version: VersionNumber | None = None


class HeartbeatReply(Reply):
    """When to come again, and what waits. With no `model` in the request there is nothing to say about one."""

    next_heartbeat_seconds: float
    work: bool = Field(description="a round of the named model takes updates or evaluations now")
    newer_version: int | None = Field(description="the deployed version, when it is not the one the device runs")


# ---- rounds, as a device sees them


class Checkpoint(Reply):
    """A version's tensors: where to read them, and how to know that they are the right ones."""

    version: int
    sha256: str
    bytes: int
    url: str = Field(description="presigned GET; do not log it")


class CheckIn(Request):
    """A client asks for work of the kinds that it can do."""

    can: Annotated[list[Literal["train", "evaluate"]], Field(min_length=1, max_length=2)] = ["train", "evaluate"]
    reported: RoundId | None = Field(None, description="the last round in which this client reported an update, if it knows")
    judged: RoundId | None = Field(None, description="the last round whose candidate it measured; both spare the server a look")


class TrainAssignment(Reply):
    """A place in a round: train from `base`, upload the delta, report before `report_by`."""

    kind: Literal["train"] = "train"
    round: str
    base: Checkpoint
    report_by: datetime
    hyperparameters: dict[str, bool | int | float | str]


class EvaluateAssignment(Reply):
    """A place among a candidate's judges: measure both versions on local data and report before `report_by`."""

    kind: Literal["evaluate"] = "evaluate"
    round: str
    candidate: Checkpoint
    deployed: Checkpoint
    report_by: datetime


class Wait(Reply):
    """Nothing to do for this client now."""

    kind: Literal["wait"] = "wait"
    retry_after_seconds: float
    reason: Literal["no-training", "round-full", "round-closed", "already-done", "between-rounds"]


Assignment = Annotated[TrainAssignment | EvaluateAssignment | Wait, Field(discriminator="kind")]


class UploadRequest(Request):
    """What the client is about to upload. May be repeated, with other content too, until the update is reported."""

    bytes: Annotated[int, Field(ge=1, le=MAX_CHECKPOINT_BYTES)]
    sha256: Sha256
    examples: Examples = Field(description="how many local examples the update was trained on; its claim to weight")


class UploadGrant(Reply):
    """One PUT of exactly one object. Every header must be sent as given, and none added to what is signed."""

    method: Literal["PUT"] = "PUT"
    url: str = Field(description="presigned; do not log it")
    headers: dict[str, str]
    expires_at: datetime


class UpdateReport(Request):
    """The upload is done: count it."""

    sha256: Sha256
    metrics: Metrics = {}


class ReceiptReply(Reply):
    """The server's word on one update."""

    round: str
    client_id: str
    state: Literal["assigned", "reported", "accepted", "rejected", "late"]
    reason: str | None = Field(default=None, description="why it was rejected or late, one word of docs/protocol.md")
    expected: str | None = None
    got: str | None = None


class EvaluationReport(Request):
    """What one client measured of one version on its own data, for the round that asked."""

    round: RoundId
    examples: Examples
    metrics: Annotated[dict[MetricName, Finite], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _accuracy_is_a_fraction(self) -> EvaluationReport:
        accuracy = self.metrics.get("accuracy")
        if accuracy is None or not 0.0 <= accuracy <= 1.0:
            raise ValueError(f"metrics.accuracy must be between 0 and 1, got {accuracy}")
        return self


class EvaluationReply(Reply):
    """The evaluation is stored."""

    round: str
    version: int
    client_id: str
    state: Literal["reported"] = "reported"


class ModelReply(Reply):
    """The version that this client should run."""

    model: str
    revision: int
    round: int | None
    checkpoint: Checkpoint


class Health(Reply):
    """The API answers."""

    status: Literal["ok"] = "ok"
    release: str


# ---- operators


class RoundConfig(Request):
    """How the rounds of a model run. Frozen into each round when it opens."""

    goal: Annotated[int, Field(ge=1, le=100_000)] = Field(description="accepted updates that close the round")
    quorum: Annotated[int, Field(ge=1, le=100_000)] = Field(description="accepted updates below which it is abandoned")
    over_selection: Annotated[float, Field(ge=1.0, le=10.0)] = Field(1.3, description="clients admitted, as a multiple of goal")
    report_seconds: Annotated[float, Field(gt=0, le=43_200)] = Field(600.0, description="from opening to the deadline")
    grace_seconds: Annotated[float, Field(ge=0, le=600)] = Field(60.0, description="after it, for reports still inspected")
    evaluators: Annotated[int, Field(ge=0, le=10_000)] = Field(10, description="clients that judge a candidate; 0 for none")
    evaluation_quorum: Annotated[int, Field(ge=1, le=10_000)] = Field(1, description="judges without whom nothing is deployed")
    evaluate_seconds: Annotated[float, Field(gt=0, le=43_200)] = 300.0
    min_gain: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.01, description="accuracy gain above which it is deployed")
    max_regression: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.05, description="accuracy loss below the deployed version beyond which training does not go on from the candidate"
    )
    weighting: Literal["examples", "uniform"] = "examples"
    max_examples: Annotated[int, Field(ge=1, le=10**9)] = Field(10_000, description="cap on one client's weight")
    server_learning_rate: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    keep_updates: bool = Field(False, description="keep the devices' updates after publication, so that it can be replayed")
    hyperparameters: Annotated[dict[MetricName, Scalar], Field(max_length=32)] = Field({}, description="given to each trainer")

    @model_validator(mode="after")
    def _quorum_is_reachable(self) -> RoundConfig:
        if self.quorum > self.goal:
            raise ValueError(f"quorum must not exceed goal ({self.goal}), got {self.quorum}")
        if self.evaluators and self.evaluation_quorum > self.evaluators:
            raise ValueError(f"evaluation_quorum must not exceed evaluators ({self.evaluators}), got {self.evaluation_quorum}")
        return self


class CheckpointUpload(Request):
    """An operator is about to upload a checkpoint."""

    bytes: Annotated[int, Field(ge=10, le=MAX_CHECKPOINT_BYTES)]
    sha256: Sha256


class CreateModel(Request):
    """A model, its configuration, and the checkpoint that becomes version 0 and is deployed."""

    name: ModelName
    config: RoundConfig
    checkpoint: CheckpointUpload


class Training(Request):
    """Whether rounds open by themselves, and how many must have completed, in the model's whole life, before they rest."""

    state: Literal["running", "stopped"]
    rounds: Annotated[int, Field(ge=1, le=10**6)] | None = None

    @model_validator(mode="after")
    def _running_names_its_end(self) -> Training:
        if (self.state == "running") != (self.rounds is not None):
            raise ValueError("rounds is required for running, and must be absent for stopped")
        return self


class MintToken(Request):
    """A token that lets at most `uses` devices enrol, for a while."""

    uses: Annotated[int, Field(ge=1, le=5_000)]
    expires_in_seconds: Annotated[float, Field(gt=0, le=90 * 86_400)] = 86_400.0
    label: Label = "devices"


class MintedToken(Reply):
    """The token, shown this once; the server keeps a hash."""

    token: str
    uses: int
    expires_at: datetime


class ClientReply(Reply):
    """A client as operators see it; never its key."""

    client_id: str
    state: Literal["active", "revoked"]
    device_type: str
    sdk_version: str
    enrolled_at: datetime
    last_seen_at: datetime


class TrainingReply(Reply):
    """Where a model's training stands."""

    state: Literal["running", "stopped"]
    rounds_completed: int
    rounds_wanted: int


class RoundReply(Reply):
    """A round as operators see it. Counts are derived from its receipts, never from counters."""

    round: str
    number: int
    phase: Literal["collecting", "aggregating", "evaluating", "completed", "abandoned"]
    base_version: int
    opened_at: datetime
    report_by: datetime
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
    gain: float | None
    deployed: bool
    reason: str | None = Field(description="why it was abandoned, or why its version was not deployed")


class VersionReply(Reply):
    """A version and its lineage."""

    version: int
    round: int | None
    base: int | None
    parent: int | None
    state: Literal["staged", "deployed", "retired"]
    created_at: datetime
    manifest_sha256: str | None
    document_sha256: str
    metrics: dict[str, float]
    evaluation: dict[str, float] | None
    checkpoint: Checkpoint


class VersionList(Reply):
    """Versions, newest first, one page."""

    versions: list[VersionReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class RoundList(Reply):
    """Rounds, newest first, one page."""

    rounds: list[RoundReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class ModelStatus(Reply):
    """Everything about one model in one call."""

    model: str
    config: RoundConfig
    training: TrainingReply
    deployed_version: int
    deployment_revision: int
    newest_version: int
    round: RoundReply | None
