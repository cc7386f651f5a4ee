"""Versions, and which of them devices get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from muster.wire.admin.configuring import RoundConfig
from muster.wire.admin.experiments import ExperimentReply
from muster.wire.admin.models import CheckpointUpload
from muster.wire.admin.paging import Page
from muster.wire.admin.strategies import Strategy, VersionRef
from muster.wire.deciding import DecidingMetric
from muster.wire.messages import Checkpoint, Label, Metrics, Reply, Request

VersionState = Literal["training", "staged", "rolling-out", "on-trial", "deployed", "retired", "rolled-back"]


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
    expires_at: datetime | None = Field(
        None, description="nothing keeps it any more: it is deleted then, unless something does by that time"
    )
    deleted_at: datetime | None = Field(None, description="since then its checkpoint and its document are not there any more")
    pinned: bool = Field(False, description="an operator keeps it, whatever else happens")
    traces: list[str] = Field(
        [],
        description="of devices whose updates it is made of, 32 at most that were traced: the `traceparent` of each one's "
        "report (W3C Trace Context)",
    )
    checkpoint: Checkpoint


class PinVersion(Request):
    """Whether a version is kept whatever else happens."""

    pinned: bool


class RetentionPage(Page):
    """What becomes of a model's versions, a page of them."""

    keep_versions: Annotated[int, Field(ge=2, le=100_000)] | None = Field(
        None, description="as if the model were configured so; without it, as it is"
    )
    newer: Annotated[int, Field(ge=0, lt=10**8)] = Field(
        0, description="how many versions before this page were not deleted: what the last page gave as `newer`"
    )


class RetainedVersion(Reply):
    """What becomes of one version."""

    version: int
    fate: Literal["kept", "unmarked", "marked", "expiring", "overdue", "deleted"] = Field(
        description="what the next sweep would do or leave: unmarked, marked: it takes the mark away, or makes it; overdue: it "
        "deletes the version"
    )
    because: list[str] = Field(
        description="all that keeps it: last, first, young, pinned, deployed, rollout, experiment, mentioned, rollback, "
        "challenger, round, next-base; or all, where the model keeps every version"
    )
    created_at: datetime
    expires_at: datetime | None
    deleted_at: datetime | None
    bytes: int = Field(description="its checkpoint; 0 when it was deleted")
    sha256: str = Field(description="versions of one digest share one checkpoint, which stays while one of them is there")


class RetentionReply(Reply):
    """What becomes of a model's versions, newest first, one page. Nothing is changed by asking."""

    model: str
    keep_versions: int | None
    grace_seconds: float = Field(description="from the mark to the deletion")
    versions: list[RetainedVersion]
    unreadable: int = Field(description="rows of this page that cannot be read; while there is one, nothing is deleted")
    newer: int = Field(description="pass as `?newer=` for the next page")
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class VersionList(Reply):
    """Versions, newest first, one page. A page may be short, even empty, and yet not be the last."""

    versions: list[VersionReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")


class Deploy(Request):
    """Serve a version from now on, if nothing else was deployed since revision `revision`. With a strategy, or a model whose
    configuration has one, a rollout begins.
    """

    version: VersionRef
    strategy: Strategy | None = Field(None, description="null for the model's own")
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator deployed it"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


class Rollback(Request):
    """Go back along the history of deployments, if nothing else was deployed since revision `revision`."""

    steps: Annotated[int, Field(ge=1, le=100)] = 1
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator rolled back"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


DeploymentKind = Literal[
    "deployed", "rolled-back", "started", "stepped", "paused", "resumed", "promoted", "aborted", "experiment-started",
    "experiment-ended",
]  # fmt: skip


class RolloutReply(Reply):
    """A rollout, as one revision of the log has it: which clients run the candidate instead of `version`."""

    rollout: str = Field(description="`<model>.r<revision>`, by the revision in which it began")
    candidate: int
    strategy: Strategy
    step: int = Field(description="the number of the present step, from 0; as many as there are steps when all is done")
    percent: float = Field(description="of the fleet, that is given the candidate")
    since: datetime = Field(description="when this step began, or, after a pause, began anew")
    paused: str | None = Field(description="why it is paused; null while it goes on")


class DeploymentReply(Reply):
    """One revision of what a model's clients are served."""

    model: str
    revision: int
    version: int
    kind: DeploymentKind
    rollout: RolloutReply | None = Field(None, description="the rollout that goes on; null when all get `version`")
    experiments: list[str] = Field([], description="the names of those that go on, beside `version`")
    ended: ExperimentReply | None = Field(None, description="what the experiment that this revision ended has found")
    left: list[int] = Field(
        description="the versions that a rollback went past, or that a rollout gave up: they are rolled back"
    )
    previous: int | None = Field(description="the revision to which one step of rollback leads; null at the end of the history")
    at: datetime
    because: str
    by: str | None = Field(description="the operator; null when a round, or a rollout's strategy, decided")
    round: int | None
    is_signed: bool | None = Field(None, description="whether it bears a signature; null from a server of before")


class MoveRollout(Request):
    """Do something about the rollout that goes on, if nothing else happened since revision `revision`."""

    move: Literal["pause", "resume", "promote", "abort"] = Field(
        description="promote: all get the candidate, at once; abort: all get the deployed version again"
    )
    revision: Annotated[int, Field(ge=1, lt=10**8)] = Field(description="the deployment revision that the operator saw")
    because: Label = "an operator decided it"
    dry_run: bool = Field(False, description="answer what would happen, and change nothing")


class GuardReply(Reply):
    """What clients have reported of a rollout's two versions, and what that means. Units are the metric's."""

    metric: DecidingMetric
    margin: float = Field(description="by so much the candidate may be worse")
    finding: Literal["worse", "not-worse", "open"]
    candidates: int = Field(description="clients that have reported the candidate")
    controls: int = Field(description="clients that have reported the deployed version beside them")
    waiting: int = Field(description="clients whose reports are looked at when their window is over")
    candidate_mean: float | None
    control_mean: float | None
    low: float = Field(description="the candidate's mean minus the other one lies from here")
    high: float = Field(description="to here, whenever one looks, but for the probability `level` of the guard")
    split_is_broken: bool = Field(description="whether so many reports of either version cannot come from such shares")
    last_of_candidate: datetime | None = Field(description="when a client last reported the candidate for the first time")


class SlotsReply(Reply):
    """How many clients have the candidate of a blue-green rollout ready, of those that were asked."""

    seen: int
    ready: int


class RolloutStatus(Reply):
    """The rollout that goes on, and what its clients say."""

    deployment: DeploymentReply
    guard: GuardReply | None = Field(description="null without a guard")
    slots: SlotsReply | None = Field(description="null unless it is blue-green")


class DeploymentList(Reply):
    """The history of deployments, newest first, one page. It only grows."""

    deployments: list[DeploymentReply]
    before: int | None = Field(description="pass as `?before=` for the next page; null on the last")
