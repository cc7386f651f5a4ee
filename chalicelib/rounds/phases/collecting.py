"""COLLECTING: wait for accepted updates, then freeze them as the manifest and move on.

Who is an outlier depends on all that are accepted, so each tick judges anew, and only those that would be in the manifest
count toward goal and quorum. Nobody is told before the round has closed: the move names the bound, and `settling` applies it.

All receipts are read for it: once a tick, and between ticks when as many updates were inspected as the goal still wanted at the
last look (`inspections_missing`). So a round of many clients costs as many reads for each of them as one of few.

The manifest object is addressed by its content; the round's move names the one that counts. That move is the freeze: if it
does not happen, the object is an orphan and the next tick makes another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice

from chalicelib.instants import Clock
from chalicelib.registry.store import RegistryStore
from chalicelib.rounds.closing import inspections_missing, lacking, next_phase
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.moves import Abandoned, Frozen, Phase
from chalicelib.rounds.phases.recounting import held_by_part, recount
from chalicelib.rounds.receipt import Receipt, ReceiptState, summarise
from chalicelib.rounds.round import Round, Summary
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.queues import Queue
from muster.aggregation.clipping import first_norm
from muster.aggregation.manifest import freeze
from muster.aggregation.outliers import norm_bound
from muster.wire.reasons import Reason
from muster.wire.refs import digest

MOST_RESENT = 1000
"""Inspections that one look asks for again."""


class Collecting:
    """What is due in a round that collects."""

    def __init__(
        self,
        *,
        rounds: RoundStore,
        registry: RegistryStore,
        blobs: Blobs,
        counters: CounterStore,
        inspections: Queue,
        clock: Clock,
        resend_seconds: float,
    ) -> None:
        self._rounds = rounds
        self._registry = registry
        self._blobs = blobs
        self._counters = counters
        self._inspections = inspections
        self._clock = clock
        self._resend = timedelta(seconds=resend_seconds)

    def advance(self, rnd: Round) -> Round | None:
        """Close the round if it is due; None when it is not, or when another actor was faster."""
        now, counters = self._clock(), list(self._counters.read(rnd))
        receipts = list(self._rounds.receipts(rnd.id))
        accepted = [r for r in receipts if r.state is ReceiptState.ACCEPTED]
        bound = norm_bound(rnd.config.outliers, [r.norm for r in accepted if r.norm is not None])
        summary = summarise((r.under(bound) for r in receipts), rnd.config.sites)
        sends = rnd.resent_at is None or now - rnd.resent_at >= self._resend
        look_at = sum(each.inspected for each in counters) + inspections_missing(rnd, summary)
        noted = self._rounds.note_look(rnd, look_at=look_at, so_far=summary, now=now, resent_at=now if sends else rnd.resent_at)
        match next_phase(rnd, summary, now):
            case Phase.AGGREGATING:
                return self._freeze(rnd, accepted, now)
            case Phase.ABANDONED:
                reason = _too_few(rnd, summary, bound)
                return self._rounds.move(rnd, Abandoned(reason=reason, closed_at=now, finished_at=now, norm_bound=bound))
            case _:
                if noted:  # else another actor looks too, and one is enough
                    recount(self._counters, rnd, "admitted", counters, held_by_part(receipts), now)
                    self._send_again(receipts if sends else [], now)
                return None

    def _freeze(self, rnd: Round, accepted: list[Receipt], now: datetime) -> Round | None:
        base = self._registry.known(rnd.model, rnd.base.version)
        goes_on = base.optimizer is not None and base.optimizer.optimizer == rnd.config.optimizer.name
        manifest = freeze(
            str(rnd.id),
            rnd.base,
            rnd.config,
            base.optimizer if goes_on else None,
            first_norm(rnd.config.clipping, base.clip_norm),
            (receipt.entry() for receipt in accepted),
        )
        data = manifest.to_bytes()
        sha256 = digest(data)
        self._blobs.put_once(keys.MANIFEST.key(round=rnd.id, sha256=sha256), data)
        return self._rounds.move(rnd, Frozen(manifest_sha256=sha256, norm_bound=manifest.norm_bound, closed_at=now))

    def _send_again(self, receipts: Sequence[Receipt], now: datetime) -> None:
        """Ask again for inspections that have been silent for too long: their message may have been lost."""
        silent = (r for r in receipts if r.state is ReceiptState.REPORTED and r.is_silent(now, self._resend))
        self._inspections.send_all({"round": str(r.round), "client": r.client_id} for r in islice(silent, MOST_RESENT))


def _too_few(rnd: Round, summary: Summary, bound: float | None) -> str:
    """Why a round is abandoned in which too few were accepted."""
    outliers = (summary.rejected or {}).get(Reason.NORM_OUTLIER, 0)
    reason = lacking(rnd, summary, f", and {outliers} with an outlying norm (above {bound})" if outliers else "")
    if summary.failed:
        by_count = sorted(summary.failed.items(), key=lambda counted: -counted[1])
        reason += f"; {summary.given_up} trainings failed ({', '.join(f'{word} {count}' for word, count in by_count)})"
    return reason
