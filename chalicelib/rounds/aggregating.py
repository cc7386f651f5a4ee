"""AGGREGATING: the manifest is frozen, so all that is left is arithmetic, and every retry writes the same bytes.

    manifest ──plan──▶ parts, stage by stage ──▶ pseudo-gradient ──▶ checkpoint ──▶ version + EVALUATING, in one transaction

A plan with nothing to share out is done on the spot; another one by the workers, with the same code. A part's result lies under
a fixed key, written once; a worker that dies, repeats or comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from chalicelib.instants import Clock, text
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.schemas import Schemas, checkpoint_ref
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.version import Version
from chalicelib.rounds.evaluation import Measurement, weighted_mean
from chalicelib.rounds.manifests import read_manifest
from chalicelib.rounds.parts import CannotAggregate, PartDesk, StoredUpdates
from chalicelib.rounds.receipt import Receipt
from chalicelib.rounds.round import Phase, Round
from chalicelib.rounds.settling import Settling
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.queues import Queue
from chalicelib.storage.spool import Spool
from muster.aggregation.assembly import MODEL, assemble
from muster.aggregation.clipping import next_norm
from muster.aggregation.exact import SumOutOfRange
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Limits, Part, Plan, Result
from muster.aggregation.registry import TooFewUpdates, TooManyUpdates, WrongNumberOfUpdates, find_aggregator
from muster.aggregation.replay import Desk
from muster.wire.refs import CheckpointRef, OptimizerState, StateFile, canonical_json, digest
from muster.wire.tensors import Schema, Unfit, build_header, update_schema


@dataclass(frozen=True, slots=True)
class Planned:
    """A round's frozen manifest, and its work."""

    manifest: Manifest
    model: Schema
    plan: Plan

    @property
    def schema(self) -> Schema:
        """What an update of the model holds."""
        return update_schema(self.model)


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
        limits: Limits,
        connections: int,
        resend_seconds: float,
    ) -> None:
        self._rounds = rounds
        self._registry = registry
        self._schemas = schemas
        self._blobs = blobs
        self._settling = settling
        self._work = work
        self._clock = clock
        self._limits = limits
        self._updates = StoredUpdates(blobs, connections)
        self._resend = timedelta(seconds=resend_seconds)

    def advance(self, rnd: Round) -> Round | None:
        """Aggregate and publish; None while workers are at it, or when another actor was faster."""
        manifest = read_manifest(self._blobs, rnd)
        self._settling.settle(rnd, {entry.client_id for entry in manifest.entries})
        try:
            planned = self._planned(manifest)
            gradient = self._alone(planned) if planned.plan.is_small else self._shared(rnd, planned)
            return None if gradient is None else self._publish(rnd, planned, gradient)
        except (CannotAggregate, SumOutOfRange, WrongNumberOfUpdates) as reason:
            return self._rounds.move(rnd, Phase.ABANDONED, reason=_named(reason), finished_at=self._clock())

    def work(self, model: str, number: int, plan: str, stage: int, part: int) -> bool:
        """A worker's share: one part of a round that still aggregates; whether its stage may be done with it."""
        rnd = self._rounds.get(model, number)
        if rnd is None or rnd.phase is not Phase.AGGREGATING:
            return False
        try:
            planned = self._planned(read_manifest(self._blobs, rnd))
            if planned.plan.name != plan:
                return False  # a message of another plan (the limits have changed since); the tick sends this one's parts
            return PartDesk(self._blobs, self._updates, rnd.id, planned.schema, planned.plan).do(stage, part)
        except (CannotAggregate, SumOutOfRange, WrongNumberOfUpdates) as reason:
            self._rounds.move(rnd, Phase.ABANDONED, reason=_named(reason), finished_at=self._clock())
            return True

    def _planned(self, manifest: Manifest) -> Planned:
        """The round's work, cut into parts."""
        aggregator = find_aggregator(manifest.aggregator)
        aggregator.check(len(manifest.entries))
        model = self._schemas.of(manifest.base)
        return Planned(manifest, model, aggregator.plan(manifest, update_schema(model), self._limits))

    def _alone(self, planned: Planned) -> Iterable[tuple[Part, Result]]:
        """The pseudo-gradient, computed here."""
        desk = Desk(planned.schema, self._updates)
        desk.run(planned.plan)
        return ((part, desk.done[part]) for part in planned.plan.stages[-1].parts)

    def _shared(self, rnd: Round, planned: Planned) -> Iterable[tuple[Part, Result]] | None:
        """The pseudo-gradient, from the results of the workers; None, and the workers are asked, while some are missing."""
        desk = PartDesk(self._blobs, self._updates, rnd.id, planned.schema, planned.plan)
        if missing := desk.missing():
            self._send(rnd, planned.plan, missing)
            return None
        last = planned.plan.stages[-1].parts
        return zip(last, desk.results(last), strict=True)

    def _publish(self, rnd: Round, planned: Planned, gradient: Iterable[tuple[Part, Result]]) -> Round | None:
        """Store the checkpoint and the optimizer's state, then the document, then, in one transaction, the version's row, which
        names them all, and the round's move.

        A number that somebody else took meanwhile, or a round that moved on, cancels the transaction; the objects are
        addressed by their content and harm nobody.
        """
        manifest = planned.manifest
        with ExitStack() as stack:
            spools = self._assembled(rnd, planned, gradient, stack)
            model = spools.pop(MODEL)
            model.keep_as(keys.CHECKPOINT.key(sha256=model.sha256))
            for spool in spools.values():
                spool.keep_as(keys.STATE.key(sha256=spool.sha256))
        step = manifest.state.step + 1 if manifest.state else 1
        files = tuple(StateFile(letter, spool.sha256, spool.nbytes) for letter, spool in sorted(spools.items()))
        kept = OptimizerState(manifest.optimizer.name, step, files) if files else None
        deployment, newest = self._registry.deployment(rnd.model), self._registry.newest(rnd.model)
        if deployment is None or newest is None:
            raise AssertionError(f"model {rnd.model} has a round but no version")
        header = len(build_header(planned.model))
        ref = checkpoint_ref(newest.number + 1, model.sha256, model.nbytes, header, planned.model)
        version, document = self._describe(rnd, manifest, ref, kept, deployment)
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

    def _assembled(
        self, rnd: Round, planned: Planned, gradient: Iterable[tuple[Part, Result]], stack: ExitStack
    ) -> dict[str, Spool]:
        """The new files, written but not yet named."""
        manifest, spools = planned.manifest, dict[str, Spool]()
        base = stack.enter_context(self._blobs.open(keys.CHECKPOINT.key(sha256=manifest.base.sha256), manifest.base.nbytes))
        states = {
            file.letter: stack.enter_context(self._blobs.open(keys.STATE.key(sha256=file.sha256), file.nbytes))
            for file in (manifest.state.files if manifest.state else ())
        }
        try:
            for name, piece in assemble(manifest, base, states, gradient):
                if name not in spools:
                    staging = keys.PART.key(round=rnd.id, plan=planned.plan.name, part=name)
                    spools[name] = stack.enter_context(Spool(self._blobs, staging))
                spools[name].write(piece)
        except Unfit as unfit:
            raise CannotAggregate(f"model-unfit: {unfit}") from unfit
        return spools

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
                "optimizer": asdict(state) if state else None,
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


def _named(reason: Exception) -> str:
    """Why a round is abandoned: a word for machines, and for people the rest."""
    match reason:
        case SumOutOfRange():
            return f"sum-out-of-range: {reason}"
        case TooFewUpdates():
            return f"too-few-updates: {reason}"
        case TooManyUpdates():
            return f"too-many-updates: {reason}"
        case _:
            return str(reason)


def _training_metrics(rnd: Round, counted: Sequence[Receipt]) -> dict[str, float]:
    """The mean of what the counted clients reported of their training, weighted like their updates."""
    reported = [Measurement(r.declared.examples, r.metrics) for r in counted if r.declared and r.metrics]
    cap = rnd.config.max_examples if rnd.config.weighting == "examples" else 1
    return weighted_mean(reported, cap) if reported else {}
