"""Checkpoints that a device has: on its disk, named by their content, and never used before their digest was computed again.

    wanted ──▶ on the disk? ──▶ a delta from one that is there? ──▶ the whole file

What goes wrong with a shorter way is logged, and the next one is taken. A disk that takes no file stops nothing: what it does
not take stays in memory until the device is started again.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

from muster import telemetry
from muster.device.files import replace_file
from muster.http.errors import Overloaded, Unreachable, Untrusted
from muster.http.transport import Transport
from muster.wire.deltas import BadDelta, DeltaEnds, apply_delta
from muster.wire.messages import Checkpoint, Delta

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2
"""A judge needs two, and the base of a round is often one of them. With what is pinned, at most `MOST_HELD`: that many can be
told.
"""

_NAME = re.compile(r"([0-9a-f]{64})\.safetensors")


class CheckpointCache:
    """The last checkpoints that were used, in a folder of their own: two, or those that are pinned, and the last other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: OrderedDict[str, bytes | None] = OrderedDict()
        """By digest, the one that was used last at the end. None: it is on the disk."""
        self.pinned: frozenset[str] = frozenset()
        """Digests of what stays whatever else is used; at most two. After a restart nothing is."""
        try:
            self._take_stock()
        except OSError as error:
            log.warning("checkpoints in %s cannot be used: %s", folder, error)

    @property
    def held(self) -> list[str]:
        """The digests of what is there."""
        return list(self._held)

    def is_on_disk(self, sha256: str) -> bool:
        """Whether a checkpoint is there also after a restart."""
        return sha256 in self._held and self._held[sha256] is None

    def find(self, sha256: str) -> bytes | None:
        """A checkpoint that is there and undamaged."""
        if sha256 not in self._held:
            return None
        data = self._held[sha256]
        if data is None:
            path = self._path(sha256)
            try:
                data = path.read_bytes()
                path.touch()
            except OSError as error:
                self._distrust(sha256, str(error))
                return None
            if hashlib.sha256(data).hexdigest() != sha256:
                self._distrust(sha256, "it is damaged")
                return None
        self._held.move_to_end(sha256)
        return data

    def get(self, checkpoint: Checkpoint, transport: Transport) -> bytes:
        """A checkpoint, downloaded only as far as it is not there.

        Raises:
            Untrusted: the bytes are not what was announced; nothing of them was kept.
            Unreachable: no usable answer, after every retry. From a store that is overloaded nothing more is asked.
        """
        found = self.find(checkpoint.sha256)
        if found is not None:
            return found
        with telemetry.span("download", version=checkpoint.version) as step:
            fresh = self._by_delta(checkpoint, transport)
            nbytes = checkpoint.delta.bytes if fresh is not None and checkpoint.delta else checkpoint.bytes
            if fresh is None:
                fresh = transport.download(checkpoint)
            step.note(bytes=nbytes)
        telemetry.count("bytes", nbytes, direction="down")
        self._keep(checkpoint.sha256, fresh)
        return fresh

    def _by_delta(self, checkpoint: Checkpoint, transport: Transport) -> bytes | None:
        """The checkpoint, made of one that is there, or None when that is not possible."""
        delta = checkpoint.delta
        if delta is None or delta.bytes >= checkpoint.bytes or delta.base_sha256 not in self._held:
            return None
        try:
            return self._applied(checkpoint, delta, io.BytesIO(transport.fetch(delta.url, delta.bytes)))
        except Overloaded:
            raise  # the whole file would be asked of the same store
        except (BadDelta, Unreachable, Untrusted, OSError) as error:
            log.warning("version %d is downloaded whole, its delta is of no use: %s", checkpoint.version, error)
            self.find(delta.base_sha256)  # if it is the base that is damaged, it goes
            return None

    def _applied(self, checkpoint: Checkpoint, delta: Delta, file: io.BytesIO) -> bytes:
        ends = DeltaEnds(delta.base_sha256, checkpoint.sha256, checkpoint.bytes)
        made = bytearray(checkpoint.bytes)
        with closing(self._open(delta.base_sha256)) as base:
            apply_delta(base, file, ends, memoryview(made))
        return bytes(made)

    def _open(self, sha256: str) -> io.BufferedReader | io.BytesIO:
        data = self._held[sha256]
        return self._path(sha256).open("rb") if data is None else io.BytesIO(data)

    def _keep(self, sha256: str, data: bytes) -> None:
        """Keep a checkpoint whose digest was computed, those that are pinned, and only so many others."""
        others = [held for held in self._held if held not in self.pinned]
        room = max(1, KEPT_CHECKPOINTS - len(self.pinned)) - (sha256 not in self.pinned)
        for held in others[: max(0, len(others) - room)]:
            self._drop(held)
        try:
            replace_file(self._path(sha256), data)
            self._held[sha256] = None
        except OSError as error:
            log.warning("a checkpoint stays in memory, %s does not take it: %s", self._folder, error)
            self._held[sha256] = data

    def _distrust(self, sha256: str, why: str) -> None:
        log.warning("the checkpoint with sha256 %s is no longer used: %s", sha256, why)
        self._drop(sha256)

    def _drop(self, sha256: str) -> None:
        if self._held.pop(sha256) is None:
            self._remove(self._path(sha256))

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be deleted: %s", path, error)

    def _take_stock(self) -> None:
        """See what an earlier run left, and remove what it did not finish."""
        if not self._folder.exists():
            return
        paths = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for path in paths:
            named = _NAME.fullmatch(path.name)
            if named:
                self._held[named[1]] = None
            else:
                self._remove(path)
        while len(self._held) > KEPT_CHECKPOINTS:
            self._drop(next(iter(self._held)))

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.safetensors"
