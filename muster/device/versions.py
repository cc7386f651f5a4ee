"""Which version a device should run, which one it runs and which one stands by: asked for, downloaded, verified.

current    the version that the server gives this device: it runs that one from then on
stand_by   a version that is not run yet: on the disk, so that the switch to it, and the way back, need no download
"""

from __future__ import annotations

from collections.abc import Mapping

from muster.device.checkpoints import CheckpointCache
from muster.device.keys import Keys
from muster.device.transport import DeviceTransport
from muster.http.errors import Untrusted
from muster.wire import messages as wire
from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit


class DeviceVersions:
    """The versions of one model on one device."""

    def __init__(self, *, model: str, keys: Keys, transport: DeviceTransport, checkpoints: CheckpointCache) -> None:
        self.running: int | None = None
        """The version that `current` gave last."""
        self.given: int | None = None
        """The version that the server said last this device should run; None as long as it has not."""
        self._path = f"/v1/models/{model}"
        self._keys = keys
        self._transport = transport
        self._checkpoints = checkpoints
        self._served: tuple[str, wire.ModelReply] | None = None

    def current(self) -> tuple[int, Mapping[str, Array]]:
        """The version that this device should run, and runs from now on: its number, and its arrays."""
        if self._served and self._checkpoints.find(self._served[1].checkpoint.sha256) is None:
            self._served = None  # where to read it is asked for again, whether or not it is another one
        known, path = self._served, self._asking()
        self._served = self._keys.send(lambda key: self._transport.call_again(path, wire.ModelReply, known, key))
        checkpoint = self._served[1].checkpoint
        arrays = self.arrays(checkpoint)
        pinned = self._checkpoints.pinned
        if checkpoint.sha256 not in pinned:
            # One alone stood by before anything ran, as after a restart. Of two, nobody switches between those any more.
            self._checkpoints.pinned = pinned | {checkpoint.sha256} if len(pinned) == 1 else frozenset()
        self.running = self.given = checkpoint.version
        return checkpoint.version, arrays

    def stand_by(self, version: int) -> None:
        """Have a version on the disk, verified, without running it. It stays there, with the one that runs, until `current`
        gives a third one, or another one is to stand by.

        Raises:
            Untrusted: the server gives another version to stand by (any more), or not what was announced.
            Unreachable: the server or the store did not answer.
            OSError: the disk does not take it.
        """
        path = self._asking("standby=true")
        reply = self._keys.send(lambda key: self._transport.call("GET", path, wire.ModelReply, None, key))
        checkpoint = reply.checkpoint
        if checkpoint.version != version:
            raise Untrusted(f"expected version {version} to stand by, the server gives version {checkpoint.version}")
        runs = {self._served[1].checkpoint.sha256} if self._served else set()
        self._checkpoints.pinned = frozenset(runs | {checkpoint.sha256})
        self.arrays(checkpoint)
        if not self._checkpoints.is_on_disk(checkpoint.sha256):
            raise OSError(f"version {version} does not stand by: it is in memory only, the disk did not take it")

    def heard(self, version: int | None, reply: wire.HeartbeatReply) -> None:
        """Take what the answer to a heartbeat says; `version` is the one that the heartbeat named."""
        self.given = version if reply.newer_version is None else reply.newer_version

    def arrays(self, checkpoint: wire.Checkpoint) -> dict[str, Array]:
        """A version's arrays; downloaded once, then kept for a while."""
        data = self._checkpoints.get(checkpoint, self._transport)
        try:
            return decode(data, HEADER_LIMIT_BYTES)
        except Unfit as unfit:
            raise Untrusted(f"version {checkpoint.version}: {unfit}") from unfit

    def _asking(self, *words: str) -> str:
        held = ",".join(self._checkpoints.held)
        query = "&".join((*words, f"have={held}") if held else words)
        return f"{self._path}?{query}" if query else self._path
