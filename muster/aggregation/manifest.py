"""The manifest: the frozen, sorted list of what a round aggregates. Everything after it is a pure function of it.

    freeze:  accepted receipts ──▶ manifest (written once) ──▶ plan ──▶ parts ──▶ merge ──▶ checkpoint

Its SHA-256 stands in the round and in the version; whoever has the manifest, the base and the updates can compute the
published bytes again. Outliers are left out; they are listed, so that the bound can be computed again too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from muster.aggregation.claims import claim_cap
from muster.aggregation.outliers import exceeds, norm_bound
from muster.wire.admin import Off, OutlierRule, RoundConfig, Rule
from muster.wire.encodings import Encoding
from muster.wire.refs import CheckpointRef, OptimizerState, canonical_json

MANIFEST_LIMIT_BYTES = 256 * 1024 * 1024
"""No manifest is longer: about 250,000 entries of the longest kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One accepted update: which bytes, pinned by ETag since inspection, and the examples it claims."""

    client_id: str
    key: str
    etag: str
    sha256: str
    nbytes: int
    examples: int
    norm: float
    """L2 norm over all float tensors, measured at inspection."""
    header_bytes: int
    """Where its data begins."""
    encoding: Encoding = "plain"
    magnitudes: str = ""
    """How large and how fine its float tensors are (`muster.wire.magnitudes`); empty if nobody measured them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a round aggregates."""

    round: str
    base: CheckpointRef
    weighting: Literal["examples", "uniform"]
    max_examples: int
    aggregator: Rule
    optimizer: Rule
    state: OptimizerState | None
    """The optimizer's state that came with the base; None where the optimizer begins."""
    clip_norm: float | None
    """The L2 norm to which larger updates are scaled down; None: none is."""
    entries: tuple[Entry, ...]
    outliers: OutlierRule = "none"
    norm_bound: float | None = None
    """The largest norm that is no outlier by that rule among entries and quarantined together; None: any norm is fine."""
    quarantined: tuple[Entry, ...] = ()
    """Updates beyond the bound, which are not aggregated."""
    max_claim_ratio: float | Off = "none"
    claim_cap: int | None = None
    """The largest weight by that ratio to the entries' median claim; None: only `max_examples` caps."""

    @property
    def is_quantised(self) -> bool:
        """Whether an update has int8 numbers and scales."""
        return any(entry.encoding == "int8" for entry in self.entries)

    def weight(self, entry: Entry) -> int:
        """An update's integer weight: its examples, capped, or 1 for each (McMahan et al. 2017, Alg. 1, with caps)."""
        if self.weighting == "uniform":
            return 1
        cap = self.max_examples if self.claim_cap is None else min(self.max_examples, self.claim_cap)
        return min(entry.examples, cap)

    def factor(self, entry: Entry) -> float:
        """By what an update is multiplied, so that its norm is at most the clipping norm; an update of zeros stays."""
        return self.clip_norm / entry.norm if self.clip_norm is not None and entry.norm > self.clip_norm else 1.0

    @property
    def total_weight(self) -> int:
        """Sum of all weights; positive for any manifest with an entry."""
        return sum(self.weight(entry) for entry in self.entries)

    def to_bytes(self) -> bytes:
        """Canonical JSON: one byte sequence for one manifest, whatever deltas lead to its base, and whatever is known of it."""
        return canonical_json(_ADAPTER.dump_python(self, mode="json", exclude={"base": {"deltas", "norm"}}))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> Manifest:
        """The manifest that these bytes hold."""
        return _ADAPTER.validate_json(bytes(data))


_ADAPTER = TypeAdapter(Manifest)


def freeze(
    round_id: str,
    base: CheckpointRef,
    config: RoundConfig,
    state: OptimizerState | None,
    clip_norm: float | None,
    accepted: Iterable[Entry],
) -> Manifest:
    """The manifest of the accepted updates, given in any order; at least one.

    Outliers among them, by the configuration's rule, are quarantined: nothing that is computed depends on them.
    """
    ordered = sorted(accepted, key=lambda entry: entry.client_id)
    bound = norm_bound(config.outliers, [entry.norm for entry in ordered])
    counted = tuple(entry for entry in ordered if not exceeds(entry.norm, bound))
    return Manifest(
        round=round_id,
        base=base,
        weighting=config.weighting,
        max_examples=config.max_examples,
        aggregator=config.aggregator,
        optimizer=config.optimizer,
        state=state,
        clip_norm=clip_norm,
        entries=counted,
        outliers=config.outliers,
        norm_bound=bound,
        quarantined=tuple(entry for entry in ordered if exceeds(entry.norm, bound)),
        max_claim_ratio=config.max_claim_ratio,
        claim_cap=claim_cap(config.max_claim_ratio, [min(entry.examples, config.max_examples) for entry in counted]),
    )
