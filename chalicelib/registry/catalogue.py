"""The operators' use cases of the registry: bring a checkpoint, create a model, start and stop its training, list versions."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.errors import Refused
from chalicelib.instants import Clock, text
from chalicelib.registry.deployment import Deployment, state_of
from chalicelib.registry.model import Model, TrainingState
from chalicelib.registry.schemas import checkpoint_ref
from chalicelib.registry.store import RegistryStore
from chalicelib.registry.urls import downloadable
from chalicelib.registry.version import CheckpointRef, Version, canonical_json, digest
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from chalicelib.storage.presign import Presigner
from muster.wire import messages as wire
from muster.wire.problems import Problem
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit, parse_header

PAGE = 50


class Catalogue:
    """Models and versions, as operators handle them."""

    def __init__(self, store: RegistryStore, blobs: Blobs, presigner: Presigner, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._presigner = presigner
        self._clock = clock

    def grant_checkpoint(self, request: wire.CheckpointUpload) -> wire.UploadGrant:
        """One PUT of exactly these bytes under the name of their digest. 412 from the store means: they are there already."""
        key = keys.CHECKPOINT.key(sha256=request.sha256)
        url, headers = self._presigner.put(key, request.bytes, request.sha256)
        expires_at = self._clock() + timedelta(seconds=self._presigner.seconds)
        return wire.UploadGrant(url=url, headers=headers, expires_at=expires_at)

    def create(self, request: wire.CreateModel) -> None:
        """Make a model whose version 0 is the uploaded checkpoint, and deploy it; the same again is the same.

        Raises:
            Refused: `upload-missing`, `checkpoint-unfit`, `model-exists` (with other content).
        """
        now = self._clock()
        ref = self._inspected(request.checkpoint)
        model = Model(request.name, request.config, now)
        document = canonical_json(
            {
                "model": model.name,
                "version": 0,
                "created": text(now),
                "checkpoint": {"sha256": ref.sha256, "bytes": ref.nbytes},
                "config": request.config.model_dump(mode="json"),
            }
        )
        version = Version(model.name, 0, ref, digest(document), now)
        deployment = Deployment(model.name, 1, ref, now, "the model was created")
        self._blobs.put_once(keys.DOCUMENT.key(sha256=version.document_sha256), document)
        holder = self._store.create(model, version, deployment)
        if holder is None:
            return
        first = self._store.version(model.name, 0)
        if holder.config != request.config or first is None or first.checkpoint.sha256 != ref.sha256:
            raise Refused(
                Problem.MODEL_EXISTS,
                f"model {model.name!r} was created at {text(holder.created_at)} with another config or checkpoint",
                expected="a name that is free, or the same content",
                got=model.name,
            )

    def set_training(self, name: str, request: wire.Training) -> Model:
        """Start or stop a model's training; a round that is open goes on to its end.

        Raises:
            Refused: `unknown-model`.
        """
        current = self.model(name)
        wanted = current.rounds_wanted if request.rounds is None else request.rounds
        return self._store.set_training(name, TrainingState(request.state), wanted) or current

    def model(self, name: str) -> Model:
        """A model.

        Raises:
            Refused: `unknown-model`, naming those that exist.
        """
        model = self._store.model(name)
        if model is None:
            names = ", ".join(m.name for m in self._store.models()) or "none yet"
            raise Refused(Problem.UNKNOWN_MODEL, f"no model {name[:48]!r}", expected=f"one of: {names}", got=name[:48])
        return model

    def versions(self, name: str, before: int | None) -> wire.VersionList:
        """A page of a model's versions, newest first, those below `before`.

        Raises:
            Refused: `unknown-model`.
        """
        self.model(name)
        log = list(self._store.deployments(name))
        page = list(self._store.versions(name, before, PAGE))
        more = page[-1].number if page and page[-1].number > 0 else None
        return wire.VersionList(versions=[self._reply(version, log) for version in page], before=more)

    def version(self, name: str, number: int) -> wire.VersionReply:
        """One version.

        Raises:
            Refused: `unknown-model`, `unknown-version`.
        """
        self.model(name)
        version = self._store.version(name, number)
        if version is None:
            newest = self._store.newest(name)
            raise Refused(
                Problem.UNKNOWN_VERSION,
                f"model {name!r} has no version {number}",
                expected=f"0 to {newest.number if newest else 0}",
                got=number,
            )
        return self._reply(version, list(self._store.deployments(name)))

    def _reply(self, version: Version, log: list[Deployment]) -> wire.VersionReply:
        return wire.VersionReply(
            version=version.number,
            round=version.round,
            base=version.base,
            parent=version.parent,
            state=state_of(version.number, log).value,
            created_at=version.created_at,
            manifest_sha256=version.manifest_sha256,
            document_sha256=version.document_sha256,
            metrics=version.metrics,
            evaluation=version.evaluation,
            checkpoint=downloadable(version.checkpoint, self._presigner),
        )

    def _inspected(self, upload: wire.CheckpointUpload) -> CheckpointRef:
        """The uploaded checkpoint, after the gate: its length, digest and header are right, and every number is finite."""
        from muster.wire import gate  # numpy: only this route of the API touches tensors

        key = keys.CHECKPOINT.key(sha256=upload.sha256)
        stat = self._blobs.stat(key)
        if stat is None:
            raise Refused(
                Problem.UPLOAD_MISSING, "the checkpoint was not uploaded", expected=f"sha256 {upload.sha256}", got="no object"
            )
        try:
            if stat.nbytes != upload.bytes:
                raise Unfit("wrong-length", f"{upload.bytes} bytes", f"{stat.nbytes} bytes")
            data = self._blobs.read(key, upload.bytes, etag=stat.etag)
            header = parse_header(data, HEADER_LIMIT_BYTES)
            if not any(spec.is_float for spec in header.specs):
                raise Unfit("wrong-tensors", "at least one float tensor", "none")
            gate.inspect(data, header.specs, upload.sha256)
        except Unfit as unfit:
            raise Refused(
                Problem.CHECKPOINT_UNFIT, f"the checkpoint is unfit: {unfit.reason}", expected=unfit.expected, got=unfit.got
            ) from unfit
        return checkpoint_ref(0, upload.sha256, upload.bytes, header.data_start, header.specs)
