"""What devices and the server say to each other; what operators say is in `muster.wire.admin`. The OpenAPI document and the
SDK are made from these models; there is no other list.

Requests forbid what they do not know and bound everything they hold. Replies ignore what they do not know, so that a
device in the field outlives the server's next release. Times are UTC (RFC 3339); durations and sizes carry their unit in
the name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from muster.wire.encodings import Encoding
from muster.wire.failures import FailureReason

BODY_LIMIT_BYTES = 64 * 1024
"""No request body is larger; tensors never travel through the API."""

MAX_CHECKPOINT_BYTES = 5 * 1024 * 1024 * 1024
"""The largest checkpoint: what one PUT may hold (Amazon S3: "Uploading objects")."""

MOST_HELD = 4
"""Checkpoints that a device may say it has."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]
ClientId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{2,63}$")]
RoundId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}\.[1-9][0-9]{0,7}$")]
RolloutId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}\.r[1-9][0-9]{0,7}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Secret = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,128}$")]
TokenText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{8,32}\.[A-Za-z0-9_-]{22,128}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,64}$")]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Scalar = bool | Whole | Finite | Label
Metrics = Annotated[dict[MetricName, Finite], Field(max_length=16)]
Examples = Annotated[int, Field(ge=1, le=10**9)]
ErrorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
VersionNumber = Annotated[int, Field(ge=0, le=10**8)]


class Request(BaseModel):
    """What a caller sends: strict, closed, bounded."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """What a query string may say: closed and bounded; its values arrive as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    retry_after_seconds: float | None = Field(
        None, description="of a 429: when to send this one again; the header `Retry-After` says it too, rounded up"
    )


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
    signing_key: str | None = Field(
        None, description="the public key that signs deployments: SubjectPublicKeyInfo of P-256 in DER, base64"
    )


class KeyRotation(Request):
    """A device asks for a new key in the place of the one that it bears; sent again, it is answered with the same."""

    proof: Secret = Field(description="random, made and kept by the device, new for each rotation")


class ProfileUpdate(Request):
    """What an enrolled device says of itself now. Its id and its type stay what they were."""

    sdk_version: Label
    capabilities: Annotated[dict[MetricName, Scalar], Field(max_length=16)] = {}


class Profile(Reply):
    """What the server has stored of the device that asks."""

    client_id: str
    device_type: str
    sdk_version: str
    capabilities: dict[str, bool | int | float | str]


class RunReport(Request):
    """What a device measured of the version that it runs, for the rollout that asked."""

    rollout: RolloutId
    metrics: Annotated[dict[MetricName, Finite | None], Field(max_length=16)] = Field(
        {}, description="null: what was measured is not finite"
    )
    ready: VersionNumber | None = Field(None, description="the version that waits on the device's disk, verified")


class Heartbeat(Request):
    """A device says that it lives, and what it runs; and what a rollout asked, in the last reply."""

    model: ModelName | None = None
    version: VersionNumber | None = None
    report: RunReport | None = None


class RolloutQuestion(Reply):
    """What a rollout wants to know of the device: to be answered once, in the next heartbeat."""

    rollout: str
    metrics: list[str] = Field([], description="what to measure of the version that the device runs")
    standby: int | None = Field(None, description="a version to have on the disk, verified, without running it")


class HeartbeatReply(Reply):
    """When to come again, and what waits. With no `model` in the request there is nothing to say about one."""

    next_heartbeat_seconds: float
    drawn: bool = Field(False, description="the server has drawn the interval: come then, and stretch nothing")
    work: bool = Field(description="the named model trains: it is worth checking in")
    newer_version: int | None = Field(description="the version to run, when it is not the one the device runs")
    asks: RolloutQuestion | None = None


# ---- rounds, as a device sees them


class Delta(Reply):
    """A file of fewer bytes that makes a checkpoint of another one that the caller has (docs/protocol.md, section 10)."""

    base_sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]
    url: str = Field(description="presigned GET; do not log it")


class Checkpoint(Reply):
    """A version's tensors: where to read them, and how to know that they are the right ones."""

    version: int
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]
    url: str = Field(description="presigned GET; do not log it")
    delta: Delta | None = Field(
        None, description="a shorter way to the same bytes, where there is one from what the caller has"
    )


class ModelQuery(Query):
    """What a device may say when it asks for its model."""

    have: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}(,[0-9a-f]{64}){0,3}$")] | None = Field(
        None, description="digests of checkpoints that the device has, with commas between them"
    )
    standby: bool = Field(False, description="the version to have on the disk, which a rollout asked for, if it still does")


class DeviceState(Request):
    """What a device says of its state as it asks for work; what it leaves out is not known."""

    charging: bool | None = None
    idle: bool | None = Field(None, description="nobody uses it")
    unmetered: bool | None = Field(None, description="its network costs nothing by the byte")


class CheckIn(Request):
    """A client asks for work of the kinds that it can do."""

    can: Annotated[list[Literal["train", "evaluate"]], Field(min_length=1, max_length=2)] = ["train", "evaluate"]
    encodings: Annotated[list[Encoding], Field(min_length=1, max_length=8)] = Field(
        ["plain"], description="the encodings in which it can write an update (docs/protocol.md)"
    )
    reported: RoundId | None = Field(
        None, description="the last round in which this client reported an update, or that training failed, if it knows"
    )
    judged: RoundId | None = Field(
        None, description="the last round whose candidate it measured, or failed to; both spare the server a look"
    )
    have: Annotated[list[Sha256], Field(max_length=MOST_HELD)] = Field(
        [], description="digests of checkpoints that the device has: it may be given a delta to one of them"
    )
    state: DeviceState | None = Field(
        None, description="in what state the device is now; it takes the place of what it said before"
    )


class TrainAssignment(Reply):
    """A place in a round: train from `base`, upload the delta, report before `report_by`."""

    kind: Literal["train"] = "train"
    round: str
    base: Checkpoint
    report_by: datetime
    hyperparameters: dict[str, bool | int | float | str]
    encoding: Encoding = Field("plain", description="how the update is to be written")
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = Field(
        None, description="from 0 to 2^53 - 1, for whatever a trainer draws; a place that is asked for again has the same one"
    )


class EvaluateAssignment(Reply):
    """A place among a candidate's judges: measure both versions on local data and report before `report_by`."""

    kind: Literal["evaluate"] = "evaluate"
    round: str
    candidate: Checkpoint
    deployed: Checkpoint
    report_by: datetime
    metric: str = Field("accuracy", description="the metric that decides: what is reported of either version must hold it")


class Wait(Reply):
    """Nothing to do for this client now."""

    kind: Literal["wait"] = "wait"
    retry_after_seconds: float
    drawn: bool = Field(False, description="the server has drawn the wait: come then, and stretch nothing")
    reason: str = Field(description="one word of docs/protocol.md, section 4; a later release may have others")
    heartbeat: bool = Field(
        True, description="false: a heartbeat would hear nothing new, and this check-in was as good a sign of life"
    )
    missing: list[str] = Field([], description="with the reason `not-ready`: what the device's state would have to be")


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
    state: Literal["assigned", "reported", "accepted", "rejected", "late", "failed"]
    reason: str | None = Field(default=None, description="why it was rejected, late or failed, one word of docs/protocol.md")
    expected: str | None = None
    got: str | None = None


class FailureReport(Request):
    """The client gives up the work of its place in a round: the place is free for another one."""

    work: Literal["train", "evaluate"] = Field(description="the `kind` of the assignment")
    reason: FailureReason = Field(description="one word of docs/protocol.md, section 5")
    error: ErrorName | None = Field(None, description="the name of the exception's class, where there was one")


class FailureReply(Reply):
    """The failure is stored."""

    round: str
    client_id: str
    work: Literal["train", "evaluate"]
    reason: str
    state: Literal["failed"] = "failed"


class EvaluationReport(Request):
    """What one client measured of one version on its own data, for the round that asked."""

    round: RoundId
    examples: Examples = Field(description="how many local examples it was measured on; shown, and no claim to weight")
    metrics: Metrics = Field({}, description="with the verdict `measured`, the `metric` of the assignment is one of them")
    verdict: Literal["measured", "worse"] = Field(
        "measured", description="`worse`: what was measured is not finite, so the version is worse than any that can be"
    )

    @model_validator(mode="after")
    def _accuracy_is_a_fraction(self) -> EvaluationReport:
        if not 0.0 <= self.metrics.get("accuracy", 0.0) <= 1.0:
            raise ValueError(f"metrics.accuracy must be a fraction from 0 to 1, got {self.metrics['accuracy']:g}")
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
    statement: str | None = Field(
        None, description="what is signed of this revision, to the letter (docs/protocol.md, section 12)"
    )
    signature: str | None = Field(None, description="ECDSA P-256 over SHA-256 of `statement`, in DER, base64")


class Health(Reply):
    """The API answers."""

    status: Literal["ok"] = "ok"
    release: str
