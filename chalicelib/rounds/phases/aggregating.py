"""AGGREGATING: the manifest is frozen, so all that is left is arithmetic, and every retry writes the same bytes.

    manifest ──plan──▶ parts, stage by stage ──▶ pseudo-gradient ──▶ checkpoint ──▶ version + EVALUATING, in one transaction

What is quickly done is done on the spot; the rest by the workers, with the same code: part by part, and the publication at the
end. A part's result lies under a fixed key, written once; a worker that dies, repeats or comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from chalicelib.instants import Clock
from chalicelib.registry.schemas import Schemas
from chalicelib.rounds.closing import too_long
from chalicelib.rounds.manifests import read_manifest
from chalicelib.rounds.moves import Abandoned, Phase
from chalicelib.rounds.phases.parts import CannotAggregate, Planned, StoredParts, StoredUpdates, stored_base
from chalicelib.rounds.phases.publishing import Publishing
from chalicelib.rounds.phases.settling import Settling
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.queues import Queue
from muster.aggregation.exact import SumOutOfRange
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Limits, Part, Plan, Result
from muster.aggregation.registry import TooFewUpdates, TooManyUpdates, Unsuitable, WrongNumberOfUpdates, find_aggregator
from muster.aggregation.replay import LocalParts
from muster.wire.tensors import update_schema

QUICK_BYTES = 1 << 30
"""Updates that are summed on the spot, by whoever reconciles the model. A tick that took minutes would be overtaken by the next
one.
"""

LEASE = timedelta(seconds=90)
"""How long others leave that to who has begun it. It keeps a crowd from doing the same at once; two who do it make the same."""

HOPELESS = (CannotAggregate, SumOutOfRange, Unsuitable, WrongNumberOfUpdates)
"""What no retry would mend."""


class Aggregating:
    """What is due in a round that aggregates."""

    def __init__(
        self,
        *,
        rounds: RoundStore,
        schemas: Schemas,
        blobs: Blobs,
        settling: Settling,
        publishing: Publishing,
        work: Queue,
        clock: Clock,
        limits: Limits,
        connections: int,
        part_seconds: float,
    ) -> None:
        self._rounds = rounds
        self._schemas = schemas
        self._blobs = blobs
        self._settling = settling
        self._publishing = publishing
        self._work = work
        self._clock = clock
        self._limits = limits
        self._updates = StoredUpdates(blobs, connections)
        self._resend = timedelta(seconds=part_seconds)

    def advance(self, rnd: Round) -> Round | None:
        """Aggregate and publish, if that is quickly done; else ask the workers for what is missing, and return None.

        The deadline comes first: whatever it is that fails again and again, the round ends.
        """
        if overdue := too_long(rnd, self._clock()):
            return self._abandon(rnd, overdue)
        manifest = read_manifest(self._blobs, rnd)
        if not rnd.settled:
            self._settling.settle(rnd, {entry.client_id for entry in manifest.entries})
        try:
            planned = self._planned(manifest)
            if _is_quick(planned):
                return self._at_once(rnd, planned)
        except HOPELESS as reason:
            return self._abandon(rnd, _named(reason))
        self._send(rnd, planned.plan, self._parts(rnd, planned).missing() or (_publication(planned.plan),))
        return None

    def work(self, model: str, number: int, plan: str, stage: int, part: int) -> bool:
        """A worker's share of a round that still aggregates: one part, or, after the last stage, the publication. Whether the
        model should be reconciled now.
        """
        rnd = self._rounds.get(model, number)
        if rnd is None or rnd.phase is not Phase.AGGREGATING:
            return False
        try:
            planned = self._planned(read_manifest(self._blobs, rnd))
            if planned.plan.name != plan:
                return False  # a message of another plan (the limits have changed since); the tick sends this one's parts
            parts = self._parts(rnd, planned)
            if stage < len(planned.plan.stages):
                return parts.do(stage, part)
            if not parts.missing():
                last = planned.plan.stages[-1].parts
                self._publishing.publish(rnd, planned, zip(last, parts.results(last), strict=True))
        except HOPELESS as reason:
            self._abandon(rnd, _named(reason))
        return True

    def _planned(self, manifest: Manifest) -> Planned:
        """The round's work, cut into parts."""
        aggregator = find_aggregator(manifest.aggregator)
        aggregator.check(len(manifest.entries))
        model = self._schemas.of(manifest.base)
        return Planned(manifest, model, aggregator.plan(manifest, update_schema(model), self._limits))

    def _at_once(self, rnd: Round, planned: Planned) -> Round | None:
        """Aggregate and publish here, unless somebody else is at it. A process that dies leaves it to others when its lease is
        over.
        """
        now, published = self._clock(), None
        if not self._rounds.lease(rnd, now + LEASE, now):
            return None
        try:
            published = self._publishing.publish(rnd, planned, self._alone(planned))
        finally:
            if published is None:
                self._rounds.release(rnd, now + LEASE)
        return published

    def _alone(self, planned: Planned) -> Iterable[tuple[Part, Result]]:
        """The pseudo-gradient, computed here."""
        parts = LocalParts(planned.schema, self._updates, stored_base(self._blobs, planned.manifest.base))
        parts.run(planned.plan)
        return ((part, parts.done[part]) for part in planned.plan.stages[-1].parts)

    def _parts(self, rnd: Round, planned: Planned) -> StoredParts:
        return StoredParts(blobs=self._blobs, updates=self._updates, round_id=rnd.id, planned=planned)

    def _abandon(self, rnd: Round, reason: str) -> Round | None:
        closed = rnd.frozen
        return self._rounds.move(
            rnd,
            Abandoned(reason=reason, closed_at=closed.closed_at, finished_at=self._clock(), norm_bound=closed.norm_bound),
        )

    def _send(self, rnd: Round, plan: Plan, missing: Sequence[Part]) -> None:
        """Queue the missing parts of a stage, unless somebody did so not long ago."""
        now: datetime = self._clock()
        stage = missing[0].stage
        if rnd.parts_stage == stage and rnd.parts_sent_at and now - rnd.parts_sent_at < self._resend:
            return
        self._work.send_all(
            {"model": rnd.model, "number": rnd.number, "plan": plan.name, "stage": stage, "part": part.number}
            for part in missing
        )
        self._rounds.note_parts_sent(rnd, stage, now)


def _is_quick(planned: Planned) -> bool:
    """Whether there is nothing to share out, and it can be done on the spot."""
    return planned.plan.is_small and sum(entry.nbytes for entry in planned.manifest.entries) <= QUICK_BYTES


def _publication(plan: Plan) -> Part:
    """What is left to do after the last stage, as another part."""
    return Part(stage=len(plan.stages), number=0, first=0, last=0, start=0, stop=0)


def _named(reason: Exception) -> str:
    """Why a round is abandoned: a word for machines, and for people the rest."""
    match reason:
        case SumOutOfRange():
            return f"sum-out-of-range: {reason}"
        case Unsuitable():
            return f"unsuitable-rule: {reason}"
        case TooFewUpdates():
            return f"too-few-updates: {reason}"
        case TooManyUpdates():
            return f"too-many-updates: {reason}"
        case _:
            return str(reason)
