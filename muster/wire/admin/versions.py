"""Versions, and which of them devices get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from muster.wire.admin.configuring import RoundConfig
from muster.wire.admin.models import CheckpointUpload
from muster.wire.admin.paging import Page
from muster.wire.messages import Checkpoint, Label, Metrics, Reply, Request

VersionRef = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
"""One version of a model: its number (`7`), its id (`digits.v7`), an alias (`champion`, `challenger`), `newest`, or a state
(`deployed`, `staged`, ...: the newest in it)."""


VersionState = Literal["training", "staged", "deployed", "retired", "rolled-back"]


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
