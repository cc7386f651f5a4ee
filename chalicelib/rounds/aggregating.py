"""AGGREGATING: the manifest is frozen, so all that is left is arithmetic, and every retry writes the same bytes.

    manifest ──plan──▶ parts ──each, once──▶ partial sums ──merge──▶ checkpoint ──▶ version + EVALUATING, in one transaction

A plan of one part is done on the spot; of more, by the workers, with the same code. A part lies under a fixed key, written
once; a worker that dies, repeats or comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from chalicelib.instants import Clock, text
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.schemas import Schemas, checkpoint_ref
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.version import Version
from chalicelib.rounds.evaluation import Measurement, weighted_mean
from chalicelib.rounds.receipt import Receipt
from chalicelib.rounds.round import Phase, Round
from chalicelib.rounds.settling import Settling
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs, ObjectMissing
from chalicelib.storage.queues import Queue
from muster.aggregation.clipping import next_norm
from muster.aggregation.exact import SumOutOfRange
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import Part
from muster.aggregation.registry import Aggregator, TooFewUpdates, Update, find_aggregator
from muster.aggregation.replay import finish
from muster.wire import gate
from muster.wire.arrays import Array, decode, encode
from muster.wire.refs import CheckpointRef, OptimizerState, canonical_json, digest
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, Unfit, header_limit, parse_header, update_schema

MANIFEST_LIMIT_BYTES = 256 * 1024 * 1024
"""About 500,000 entries."""


PART_LIMIT_BYTES = 16 << 30
"""No part's result is longer; what was stored, we stored."""


class CannotAggregate(Exception):
    """The frozen manifest can never become a version; the round is abandoned for this reason."""


class Aggregating:
    """What is due in a round that aggregates."""

    def __init__(
        self,
        rounds: RoundStore,
        registry: RegistryStore,
        schemas: Schemas,
        blobs: Blobs,
        settling: Settling,
        work: Queue,
        clock: Clock,
        part_bytes: int,
        resend_seconds: float,
    ) -> None:
        self._rounds = rounds
        self._registry = registry
        self._schemas = schemas
        self._blobs = blobs
        self._settling = settling
        self._work = work
        self._clock = clock
        self._part_bytes = part_bytes
        self._resend = timedelta(seconds=resend_seconds)

    def advance(self, rnd: Round) -> Round | None:
        """Aggregate and publish; None while workers are at it, or when another actor was faster."""
        manifest = self._manifest(rnd)
        self._settling.settle(rnd, {entry.client_id for entry in manifest.entries})
        try:
            aggregator, schema, parts = self._planned(manifest)
            if len(parts) == 1:
                self._run(rnd, manifest, aggregator, schema, parts[0])
            elif missing := [part for part in parts if self._blobs.stat(_part_key(rnd, part)) is None]:
                self._send(rnd, missing)
                return None
            return self._publish(rnd, manifest, *self._merge(rnd, manifest, aggregator, schema, parts))
        except (CannotAggregate, SumOutOfRange, TooFewUpdates) as reason:
            return self._rounds.move(rnd, Phase.ABANDONED, reason=_named(reason), finished_at=self._clock())

    def work(self, model: str, number: int, index: int, count: int) -> None:
        """A worker's share: one part of a round that still aggregates."""
        rnd = self._rounds.get(model, number)
        if rnd is None or rnd.phase is not Phase.AGGREGATING:
            return
        manifest = self._manifest(rnd)
        try:
            aggregator, schema, parts = self._planned(manifest)
            if len(parts) != count:
                return  # a message of another plan (the limits have changed since); the tick sends this one's parts
            self._run(rnd, manifest, aggregator, schema, parts[index])
        except (CannotAggregate, SumOutOfRange, TooFewUpdates) as reason:
            self._rounds.move(rnd, Phase.ABANDONED, reason=_named(reason), finished_at=self._clock())

    def _planned(self, manifest: Manifest) -> tuple[Aggregator, Schema, tuple[Part, ...]]:
        """The round's aggregator, the schema of its updates, and the parts of its work."""
        aggregator = find_aggregator(manifest.aggregator)
        aggregator.check(len(manifest.entries))
        schema = update_schema(self._schemas.of(manifest.base))
        return aggregator, schema, aggregator.plan(manifest, schema, self._part_bytes)

    def _run(self, rnd: Round, manifest: Manifest, aggregator: Aggregator, schema: Schema, part: Part) -> None:
        """Do one part and store its result, unless that is there already."""
        key = _part_key(rnd, part)
        if self._blobs.stat(key) is None:
            self._blobs.put_once(key, encode(aggregator.part(part, manifest, schema, self._fetch(schema))))

    def _merge(
        self, rnd: Round, manifest: Manifest, aggregator: Aggregator, schema: Schema, parts: Sequence[Part]
    ) -> tuple[bytes, bytes | None]:
        """The new checkpoint's bytes, and those of the optimizer's state, if it keeps one, from the stored parts."""
        results = (decode(self._blobs.read(_part_key(rnd, part), PART_LIMIT_BYTES), HEADER_LIMIT_BYTES) for part in parts)
        gradient = aggregator.merge(manifest, schema, results, self._fetch(schema))
        base = decode(self._checkpoint(manifest.base), HEADER_LIMIT_BYTES)
        return finish(manifest, base, self._state(manifest), gradient)

    def _state(self, manifest: Manifest) -> dict[str, Array] | None:
        """The optimizer's state that came with the base."""
        ref = manifest.state
        if ref is None:
            return None
        data = self._blobs.read(keys.STATE.key(sha256=ref.sha256), ref.nbytes)
        return decode(_verified(data, ref.sha256), HEADER_LIMIT_BYTES)

    def _fetch(self, schema: Schema) -> Callable[[Sequence[Entry]], Iterator[Update]]:
        """Reads updates one by one, so that no more than one is held here."""

        def fetch(entries: Sequence[Entry]) -> Iterator[Update]:
            return ((entry, decode(self._update(entry), header_limit(schema))) for entry in entries)

        return fetch

    def _publish(self, rnd: Round, manifest: Manifest, checkpoint: bytes, state: bytes | None) -> Round | None:
        """Store the checkpoint and the optimizer's state, then the document, then, in one transaction, the version's row, which
        names them all, and the round's move.

        A number that somebody else took meanwhile, or a round that moved on, cancels the transaction; the objects are
        addressed by their content and harm nobody.
        """
        header = parse_header(checkpoint, HEADER_LIMIT_BYTES)
        try:
            gate.measure(memoryview(checkpoint), header, header.specs)
        except Unfit as unfit:
            raise CannotAggregate(f"model-unfit: {unfit}") from unfit
        deployment, newest = self._registry.deployment(rnd.model), self._registry.newest(rnd.model)
        if deployment is None or newest is None:
            raise AssertionError(f"model {rnd.model} has a round but no version")
        sha256 = digest(checkpoint)
        ref = checkpoint_ref(newest.number + 1, sha256, len(checkpoint), header.data_start, header.specs)
        kept = _state_ref(manifest, state) if state else None
        version, document = self._describe(rnd, manifest, ref, kept, deployment)
        self._blobs.put_once(keys.CHECKPOINT.key(sha256=sha256), checkpoint)
        if state and kept:
            self._blobs.put_once(keys.STATE.key(sha256=kept.sha256), state)
        self._blobs.put_once(keys.DOCUMENT.key(sha256=version.document_sha256), document)
        return self._rounds.move(
            rnd,
            Phase.EVALUATING,
            [self._registry.put_version(version)],
            candidate=ref,
            deployed=deployment.stable,
            deployment_revision=deployment.revision,
            evaluate_by=self._clock() + timedelta(seconds=rnd.config.evaluate_seconds),
        )

    def _describe(
        self, rnd: Round, manifest: Manifest, ref: CheckpointRef, state: OptimizerState | None, deployment: Deployment
    ) -> tuple[Version, bytes]:
        """The version's row and its document. `created` is when the round closed, so that a retry says the same."""
        created_at = rnd.closed_at or rnd.report_by
        clip_norm = next_norm(rnd.config.clipping, manifest)
        counted = {entry.client_id for entry in manifest.entries}
        metrics = _training_metrics(rnd, [r for r in self._rounds.receipts(rnd.id) if r.client_id in counted])
        document = canonical_json(
            {
                "model": rnd.model,
                "version": ref.version,
                "round": rnd.number,
                "created": text(created_at),
                "base": rnd.base.version,
                "parent": deployment.stable.version,
                "checkpoint": {"sha256": ref.sha256, "bytes": ref.nbytes},
                "manifest_sha256": rnd.manifest_sha256,
                "optimizer": {"sha256": state.sha256, "bytes": state.nbytes, "step": state.step} if state else None,
                "clip_norm": clip_norm,
                "config": rnd.config.model_dump(mode="json"),
                "metrics": metrics,
            }
        )
        version = Version(
            model=rnd.model,
            number=ref.version,
            checkpoint=ref,
            document_sha256=digest(document),
            created_at=created_at,
            config=rnd.config,
            revision=deployment.revision,
            round=rnd.number,
            base=rnd.base.version,
            parent=deployment.stable.version,
            manifest_sha256=rnd.manifest_sha256,
            metrics=metrics,
            optimizer=state,
            clip_norm=clip_norm,
        )
        return version, document

    def _manifest(self, rnd: Round) -> Manifest:
        """The round's frozen manifest, checked against the digest that the round's move named."""
        if rnd.manifest_sha256 is None:
            raise AssertionError(f"round {rnd.id} is {rnd.phase} without a manifest")
        data = self._blobs.read(keys.MANIFEST.key(round=rnd.id, sha256=rnd.manifest_sha256), MANIFEST_LIMIT_BYTES)
        return Manifest.from_bytes(_verified(data, rnd.manifest_sha256))

    def _checkpoint(self, ref: CheckpointRef) -> bytearray:
        return _verified(self._blobs.read(keys.CHECKPOINT.key(sha256=ref.sha256), ref.nbytes), ref.sha256)

    def _update(self, entry: Entry) -> bytearray:
        """An update's bytes: verified once, at inspection, and pinned by ETag since."""
        try:
            return self._blobs.read(entry.key, entry.nbytes, etag=entry.etag)
        except ObjectMissing as missing:
            raise CannotAggregate(f"update-missing: of client {entry.client_id}") from missing

    def _send(self, rnd: Round, missing: Sequence[Part]) -> None:
        """Queue the missing parts, unless somebody did so not long ago."""
        now: datetime = self._clock()
        if rnd.parts_sent_at and now - rnd.parts_sent_at < self._resend:
            return
        for part in missing:
            self._work.send({"model": rnd.model, "number": rnd.number, "index": part.index, "count": part.count})
        self._rounds.note_parts_sent(rnd, now)


def _part_key(rnd: Round, part: Part) -> str:
    return keys.PART.key(round=rnd.id, part=part.name)


def _named(reason: Exception) -> str:
    """Why a round is abandoned: a word for machines, and for people the rest."""
    match reason:
        case SumOutOfRange():
            return f"sum-out-of-range: {reason}"
        case TooFewUpdates():
            return f"too-few-updates: {reason}"
        case _:
            return str(reason)


def _state_ref(manifest: Manifest, state: bytes) -> OptimizerState:
    step = manifest.state.step + 1 if manifest.state else 1
    return OptimizerState(manifest.optimizer.name, step, digest(state), len(state))


def _verified(data: bytearray, sha256: str) -> bytearray:
    found = digest(data)
    if found != sha256:
        raise RuntimeError(f"the store is damaged: expected sha256 {sha256}, got {found}")
    return data


def _training_metrics(rnd: Round, counted: Sequence[Receipt]) -> dict[str, float]:
    """The mean of what the counted clients reported of their training, weighted like their updates."""
    reported = [Measurement(r.declared.examples, r.metrics) for r in counted if r.declared and r.metrics]
    cap = rnd.config.max_examples if rnd.config.weighting == "examples" else 1
    return weighted_mean(reported, cap) if reported else {}
