"""Checkpoints that operators upload: looked into, as strictly as a device's update, before anything names them."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.errors import Refusal
from chalicelib.registry.schemas import checkpoint_ref
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs
from muster.wire import admin
from muster.wire.encodings import Encoding, NotEncodable, encoded_schema
from muster.wire.problems import Problem
from muster.wire.reasons import Reason
from muster.wire.refs import CheckpointRef, digest
from muster.wire.tensors import (
    HEADER_LIMIT_BYTES,
    LENGTH_BYTES,
    MODEL_DTYPES,
    Schema,
    Unfit,
    canonical,
    match,
    parse_header,
    update_schema,
)


class Checkpoints:
    """The checkpoints of the bucket, and the documents of versions."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def inspected(
        self, upload: admin.CheckpointUpload, version: int, encoding: Encoding, schema: Schema | None = None
    ) -> CheckpointRef:
        """The reference to an uploaded checkpoint, after the gate: its length, digest and header are right, every number is
        finite, its norm is bounded, its updates can be encoded, and, where a schema is given, it has exactly those tensors.

        Raises:
            Refusal: `upload-missing`, `checkpoint-unfit`.
        """
        from muster.wire import gate  # numpy: only this step of the API touches tensors

        key = keys.CHECKPOINT.key(sha256=upload.sha256)
        stat = self._blobs.stat(key)
        if stat is None:
            raise Refusal(
                Problem.UPLOAD_MISSING, "the checkpoint was not uploaded", expected=f"sha256 {upload.sha256}", got="no object"
            )
        try:
            if stat.nbytes != upload.bytes:
                raise Unfit(Reason.WRONG_LENGTH, f"{upload.bytes} bytes", f"{stat.nbytes} bytes")
            head = self._blobs.read_head(key, LENGTH_BYTES + HEADER_LIMIT_BYTES)
            header = parse_header(head, HEADER_LIMIT_BYTES)
            if not any(spec.is_float for spec in header.specs):
                raise Unfit(Reason.WRONG_TENSORS, "at least one float tensor", "none")
            for spec in header.specs:
                if spec.dtype not in MODEL_DTYPES:
                    raise Unfit(Reason.WRONG_DTYPE, " or ".join(sorted(MODEL_DTYPES)), str(spec))
            match(header.specs, schema or canonical(header.specs))
            encoded_schema(update_schema(header.specs), encoding)
            with self._blobs.open(key, upload.bytes, etag=stat.etag) as body:
                measured = gate.inspect(body, body.nbytes, header.specs, upload.sha256)
        except NotEncodable as unable:
            raise Refusal(
                Problem.CHECKPOINT_UNFIT,
                f"no update of this model can be written in {encoding}: {unable}",
                expected="another encoding",
                got=encoding,
            ) from unable
        except Unfit as unfit:
            raise Refusal(
                Problem.CHECKPOINT_UNFIT, f"the checkpoint is unfit: {unfit.reason}", expected=unfit.expected, got=unfit.got
            ) from unfit
        ref = checkpoint_ref(version, upload.sha256, upload.bytes, header.data_start, header.specs)
        return replace(ref, norm=gate.rounded_norm(measured.norm**2))

    def store_document(self, document: bytes) -> None:
        """Store a version's document under its digest."""
        self._blobs.put_once(keys.DOCUMENT.key(sha256=digest(document)), document)
