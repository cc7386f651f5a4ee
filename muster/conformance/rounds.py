"""What the honest server remembers of a round."""

from __future__ import annotations

from dataclasses import dataclass, field

from muster.conformance.versions import ServedVersion
from muster.wire import messages as wire
from muster.wire.encodings import Encoding
from muster.wire.tensors import Unfit


@dataclass
class ScriptedRound:
    """One round, of one device."""

    number: int
    base: ServedVersion
    encoding: Encoding
    candidate: ServedVersion | None = None
    declared: wire.UploadRequest | None = None
    stored: bytes | None = None
    report: wire.UpdateReport | None = None
    verdict: Unfit | None = None
    measured: dict[int, wire.EvaluationReport] = field(default_factory=dict)
    failure: wire.FailureReport | None = None
    """Why the device gave its place up, if it did."""
    had: frozenset[str] = frozenset()
    """The checkpoints that the device said it has, when it got its place."""
    read: list[str] = field(default_factory=list)
    """Digests of the checkpoints that it has read whole since."""

    @property
    def is_judged(self) -> bool:
        """Whether both versions were measured."""
        return self.candidate is not None and self.measured.keys() >= {self.base.number, self.candidate.number}
