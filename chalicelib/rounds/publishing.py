"""Publication: of the pseudo-gradient a checkpoint, of the checkpoint a version, in one transaction with the round's move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta

from chalicelib.instants import Clock, text
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.schemas import checkpoint_ref
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.version import Version
from chalicelib.rounds.deltas import Deltas
from chalicelib.rounds.evaluation import Measurement, typical
from chalicelib.rounds.parts import CannotAggregate, Planned
from chalicelib.rounds.receipt import Receipt
from chalicelib.rounds.round import Phase, Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.spool import Spool
from muster.aggregation.assembly import MODEL, assemble
from muster.aggregation.clipping import next_norm
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Part, Result
from muster.wire.refs import CheckpointRef, OptimizerState, StateFile, canonical_json, digest
from muster.wire.tensors import Unfit, build_header


class Publishing:
    """Makes versions of rounds."""

    def __init__(self, rounds: RoundStore, registry: RegistryStore, blobs: Blobs, deltas: Deltas, clock: Clock) -> None:
        self._rounds = rounds
        self._registry = registry
        self._blobs = blobs
        self._deltas = deltas
        self._clock = clock

    def publish(self, rnd: Round, planned: Planned, gradient: Iterable[tuple[Part, Result]]) -> Round | None:
        """Store the checkpoint, the optimizer's state and the deltas, then the document, then, in one transaction, the
        version's row, which names them all, and the round's move.

        Deltas lead from where devices are: from the base, which those have who trained in this round, and from what is
        deployed, which judges have, and all who run the model. Mostly the two are one.

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
        ref = replace(ref, deltas=self._deltas.make(rnd.id, ref, (rnd.base, deployment.stable)))
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
                    spools[name] = stack.enter_context(Spool(self._blobs, keys.STAGED.prefix(round=rnd.id)))
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
        metrics = _training_metrics([r for r in self._rounds.receipts(rnd.id) if r.client_id in counted])
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


def _training_metrics(counted: Sequence[Receipt]) -> dict[str, float]:
    """What the counted clients reported of their training: the midmean, so that no one decides it."""
    return typical([Measurement(r.declared.examples, r.metrics) for r in counted if r.declared and r.metrics])
