"""Publication: of the pseudo-gradient a checkpoint, of the checkpoint a version, in one transaction with the round's move."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta

from chalicelib.instants import Clock, text
from chalicelib.registry.deltas import Deltas
from chalicelib.registry.deployment import Deployment
from chalicelib.registry.schemas import checkpoint_ref
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.sweep import is_held
from chalicelib.registry.version import Version
from chalicelib.rounds.moves import Published
from chalicelib.rounds.phases.parts import CannotAggregate, Planned
from chalicelib.rounds.phases.traces import noting, traces_of
from chalicelib.rounds.phases.training_metrics import training_metrics
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.spool import Spool
from muster.aggregation.assembly import MODEL, Norm, StateUnfit, assemble
from muster.aggregation.clipping import next_norm
from muster.aggregation.plan import Part, Result
from muster.wire.refs import CheckpointRef, OptimizerState, StateFile, canonical_json, digest
from muster.wire.tensors import Unfit, build_header


class Publishing:
    """Makes versions of rounds."""

    def __init__(self, *, rounds: RoundStore, registry: RegistryStore, blobs: Blobs, deltas: Deltas, clock: Clock) -> None:
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

        A number that somebody else took meanwhile, a round that moved on, or a sweep of the bucket cancels the transaction; the
        objects are addressed by their content and harm nobody. What no version ever names, the sweep deletes.
        """
        manifest, norm, seen = planned.manifest, Norm(), self._registry.sweep()
        if is_held(seen, self._clock()):
            return None  # what is stored now could not be named before the sweep is over: the next tick begins again
        with ExitStack() as stack:
            spools = self._assembled(rnd, planned, gradient, norm, stack)
            model = spools.pop(MODEL)
            model.keep_as(keys.CHECKPOINT.key(sha256=model.sha256))
            for spool in spools.values():
                spool.keep_as(keys.STATE.key(sha256=spool.sha256))
        step = manifest.state.step + 1 if manifest.state else 1
        files = tuple(StateFile(letter, spool.sha256, spool.nbytes) for letter, spool in sorted(spools.items()))
        kept = OptimizerState(manifest.optimizer.name, step, files) if files else None
        deployment, newest = self._registry.present(rnd.model), self._registry.newest_number(rnd.model)
        header = len(build_header(planned.model))
        ref = checkpoint_ref(newest + 1, model.sha256, model.nbytes, header, planned.model)
        ref = replace(ref, norm=norm.rounded, deltas=self._deltas.make(str(rnd.id), ref, (rnd.base, deployment.stable)))
        version, document = self._describe(rnd, planned, ref, kept, deployment)
        self._blobs.put_once(keys.DOCUMENT.key(sha256=version.document_sha256), document)
        published = Published(
            candidate=ref,
            deployed=deployment.stable,
            deployment_revision=deployment.revision,
            evaluate_by=self._clock() + timedelta(seconds=rnd.config.evaluate_seconds),
        )
        unswept = self._registry.unless_swept(seen, self._clock())
        return self._rounds.move(rnd, published, [self._registry.put_version(version), unswept])

    def _assembled(
        self, rnd: Round, planned: Planned, gradient: Iterable[tuple[Part, Result]], norm: Norm, stack: ExitStack
    ) -> dict[str, Spool]:
        """The new files, written but not yet named; the model's norm is added up in `norm`."""
        manifest, spools = planned.manifest, dict[str, Spool]()
        base = stack.enter_context(self._blobs.open(keys.CHECKPOINT.key(sha256=manifest.base.sha256), manifest.base.nbytes))
        states = {
            file.letter: stack.enter_context(self._blobs.open(keys.STATE.key(sha256=file.sha256), file.nbytes))
            for file in (manifest.state.files if manifest.state else ())
        }
        try:
            for name, piece in assemble(manifest, base, states, gradient, norm):
                if name not in spools:
                    spools[name] = stack.enter_context(Spool(self._blobs, keys.STAGED.prefix(round=rnd.id)))
                spools[name].write(piece)
        except Unfit as unfit:
            word = "state-unfit" if isinstance(unfit, StateUnfit) else "model-unfit"
            raise CannotAggregate(f"{word}: {unfit}") from unfit
        return spools

    def _describe(
        self, rnd: Round, planned: Planned, ref: CheckpointRef, state: OptimizerState | None, deployment: Deployment
    ) -> tuple[Version, bytes]:
        """The version's row and its document. `created` is when the round closed, so that a retry says the same."""
        manifest = planned.manifest
        created_at = rnd.closed_at or rnd.report_by
        clip_norm = next_norm(rnd.config.clipping, manifest)
        parents = dict[str, str]()
        metrics = training_metrics(manifest, noting(self._rounds.receipts(rnd.id), parents))
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
                "lost_bits": planned.plan.lost_bits,
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
            lost_bits=planned.plan.lost_bits,
            optimizer=state,
            clip_norm=clip_norm,
            traces=traces_of(manifest, parents),
        )
        return version, document
