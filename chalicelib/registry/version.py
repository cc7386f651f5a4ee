"""A version: an immutable checkpoint, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.instants import Instant
from chalicelib.registry.model import FrozenConfig
from muster.wire.refs import CheckpointRef, OptimizerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a version's judges said of it beside its `parent`, which was deployed then (docs/judging.md)."""

    judges: int
    better: int
    worse: int
    """How many of them found it so; the others saw no difference."""
    gain: float
    """The midmean of their differences in the metric of `config`: the mean of the middle half; above 0 is better."""
    p: float
    """The sign test's: how probable so many voices were, were it not better, and as many bought as may lie."""
    examples: int
    """The median of the examples that they say they measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One row of the registry. Lineage: `base` is what it was trained from, `parent` what was deployed when it was made."""

    model: str
    number: int
    checkpoint: CheckpointRef
    document_sha256: str
    created_at: Instant
    config: FrozenConfig
    """How its round ran, or, of a version that an operator registered, the model's configuration at that time."""
    revision: int
    """The model's deployment revision when it was made: no earlier deployment can speak of it."""
    round: int | None = None
    base: int | None = None
    parent: int | None = None
    manifest_sha256: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """What the training clients reported, or what the operator measured."""
    evaluation: dict[str, float] | None = None
    """What the judges measured of it, each counting once; written once, when the round is decided. Other versions had other
    judges: what compares two versions is `judged`."""
    note: str | None = None
    """The operator's words."""
    optimizer: OptimizerState | None = None
    """The state with which a round that starts from here goes on."""
    clip_norm: float | None = None
    """The norm to which such a round clips, where the norm is adaptive."""
    judged: Judged | None = None
    """What `evaluation` rests on."""
    lost_bits: int = 0
    """Bits by which its round's arithmetic was too coarse for the median update (`muster.aggregation.plan.Plan`)."""
    expires_at: Instant | None = None
    """Nothing keeps it any more (`chalicelib.registry.retention`): it is deleted then, unless something does by that time."""
    deleted_at: Instant | None = None
    """From then on it names no object: what is left says what it was. Its number is never given out again."""
    traces: tuple[str, ...] = ()
    """Of devices whose updates it is made of, the first so many that were traced: the `traceparent` of each one's report."""
    pinned: bool = False
    """An operator keeps it, whatever else happens."""

    @property
    def id(self) -> str:
        """`<model>.v<number>`; unique, because a number is given out once."""
        return f"{self.model}.v{self.number}"


@dataclass(frozen=True, slots=True)
class Registration:
    """The version that an operator made of a checkpoint."""

    version: int
