"""AGGREGATING: the manifest is frozen, so all that is left is arithmetic, and every retry writes the same bytes.

    manifest ──plan──▶ parts ──each, once──▶ partial sums ──merge──▶ checkpoint ──▶ version + EVALUATING, in one transaction

A plan of one part is done on the spot; of more, by the workers, with the same code. A part lies under a fixed key, written
once; a worker that dies, repeats or comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.aggregation.exact import SumOutOfRange
from chalicelib.aggregation.manifest import Entry, Manifest
from chalicelib.aggregation.mean import Grids, Sums, apply
from chalicelib.aggregation.plan import Part, plan
from chalicelib.instants import Clock, text
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.schemas import Schemas, checkpoint_ref
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.version import CheckpointRef, Version, canonical_json, digest
from chalicelib.rounds.evaluation import Measurement, weighted_mean
from chalicelib.rounds.receipt import Receipt
from chalicelib.rounds.round import Phase, Round
from chalicelib.rounds.settling import Settling
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs, ObjectMissing
from chalicelib.storage.queues import Queue
from muster.wire import gate
from muster.wire.arrays import decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, Unfit, header_limit, parse_header, update_schema

MANIFEST_LIMIT_BYTES = 256 * 1024 * 1024
"""About 500,000 entries."""


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
        parts = plan(manifest, self._part_bytes)
        try:
            if len(parts) == 1:
                self.run_part(rnd, manifest, parts[0])
            elif missing := [part for part in parts if self._blobs.stat(_part_key(rnd, part)) is None]:
                self._send(rnd, missing)
                return None
            return self._publish(rnd, manifest, self._merge(rnd, manifest, parts))
        except CannotAggregate as reason:
            return self._rounds.move(rnd, Phase.ABANDONED, reason=str(reason), finished_at=self._clock())

    def work(self, model: str, number: int, index: int, count: int) -> None:
        """A worker's share: one part of a round that still aggregates."""
        rnd = self._rounds.get(model, number)
        if rnd is None or rnd.phase is not Phase.AGGREGATING:
            return
        manifest = self._manifest(rnd)
        parts = plan(manifest, self._part_bytes)
        if len(parts) != count:
            return  # a message of another plan (the limits have changed since); the tick sends this one's parts
        try:
            self.run_part(rnd, manifest, parts[index])
        except CannotAggregate as reason:
            self._rounds.move(rnd, Phase.ABANDONED, reason=str(reason), finished_at=self._clock())

    def run_part(self, rnd: Round, manifest: Manifest, part: Part) -> None:
        """Sum one part of a manifest and store the sum, unless it is there already."""
        key = _part_key(rnd, part)
        if self._blobs.stat(key) is not None:
            return
        schema = update_schema(self._schemas.of(manifest.base))
        grids = _grids(manifest, schema)
        sums = Sums.empty(schema)
        for entry in part.entries(manifest):
            sums.add(decode(self._update(entry), header_limit(schema)), manifest.weight(entry), grids)
        self._blobs.put_once(key, encode(sums.tensors))

    def _merge(self, rnd: Round, manifest: Manifest, parts: Sequence[Part]) -> bytes:
        """The new checkpoint's bytes, from the stored parts."""
        schema = update_schema(self._schemas.of(manifest.base))
        total = Sums.empty(schema)
        for part in parts:
            data = self._blobs.read(_part_key(rnd, part), HEADER_LIMIT_BYTES + 8 * (1 + sum(s.elements for s in schema)))
            total.merge(Sums(decode(data, HEADER_LIMIT_BYTES)))
        base = decode(self._checkpoint(manifest.base), HEADER_LIMIT_BYTES)
        return encode(apply(base, total, manifest.total_weight, manifest.server_learning_rate))

    def _publish(self, rnd: Round, manifest: Manifest, checkpoint: bytes) -> Round | None:
        """Store the checkpoint, then its document, then, in one transaction, the version's row and the round's move.

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
        version, document = self._describe(rnd, manifest, ref, deployment)
        self._blobs.put_once(keys.CHECKPOINT.key(sha256=sha256), checkpoint)
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

    def _describe(self, rnd: Round, manifest: Manifest, ref: CheckpointRef, deployment: Deployment) -> tuple[Version, bytes]:
        """The version's row and its document. `created` is when the round closed, so that a retry says the same."""
        created_at = rnd.closed_at or rnd.report_by
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


def _grids(manifest: Manifest, schema: Schema) -> Grids:
    try:
        return Grids.of(manifest, schema)
    except SumOutOfRange as error:
        raise CannotAggregate(f"sum-out-of-range: {error}") from error


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
