"""A delta: a checkpoint in fewer bytes, for who has another one.

    magic "MUSTERD1" (8) · base's SHA-256 (32) · target's SHA-256 (32) · target's length (8, little-endian) · one zlib stream

What is deflated: both files are taken as little-endian 32-bit words, in chunks of 1 MiB. The difference of two words, modulo
2³², is folded so that small ones of either sign are small numbers (zigzag: 0, -1, 1, -2 … become 0, 1, 2, 3 …), and of each
chunk the lowest bytes of all words come first, then the second ones, and so on. A word of which training changed only the lower
digits leaves bytes of zeros, which lie together. Where a file ends, zeros follow.

Which transformation and which setting of zlib are best was measured on real training (docs/adr/0014-deltas-of-checkpoints.md).
Both sides work chunk by chunk, and nothing that a delta holds can make its reader write more than was announced.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muster.wire.arrays import Array
from muster.wire.gate import Readable

MAGIC = b"MUSTERD1"
HEADER = struct.Struct("<8s32s32sQ")

CHUNK_BYTES = 1 << 20
"""What of a file is transformed at a time."""

WORD_BYTES = 4

_READ_BYTES = 1 << 16
_WORD = np.dtype("<u4")


class BadDelta(Exception):
    """Bytes that are not the delta that they should be; what was made of them is not to be used."""


@dataclass(frozen=True, slots=True)
class DeltaEnds:
    """From which file a delta leads to which: digests are SHA-256 in hex, `nbytes` is the target's length."""

    base_sha256: str
    target_sha256: str
    nbytes: int

    def to_bytes(self) -> bytes:
        """A delta's header."""
        return HEADER.pack(MAGIC, bytes.fromhex(self.base_sha256), bytes.fromhex(self.target_sha256), self.nbytes)


def encode_delta(base: Readable, target: Readable, ends: DeltaEnds) -> Iterator[bytes]:
    """The delta, piece by piece, from one file to another, both read from beginning to end.

    Raises:
        EOFError: the target is shorter than `ends` say.
    """
    yield ends.to_bytes()
    # Of bytes that hardly ever repeat, looking for repetitions costs five times the time and finds less than runs do.
    deflate = zlib.compressobj(level=1, wbits=15, memLevel=9, strategy=zlib.Z_RLE)
    for room in _chunks(ends.nbytes):
        wanted, had = bytearray(room), bytearray(room)
        if _fill(target, wanted) != room:
            raise EOFError(f"expected a target of {ends.nbytes} bytes, got fewer")
        _fill(base, had)
        yield deflate.compress(_folded(_words(wanted) - _words(had)))
    yield deflate.flush()


def apply_delta(base: Readable, delta: Readable, ends: DeltaEnds, into: memoryview) -> None:
    """Fill `into`, which is as long as the target, with the target.

    Raises:
        BadDelta: it is no delta, or one of other files; it is not exactly as long as it should be; or what comes out is not the
            target, because the base is not what it should be, or the delta is not.
    """
    if len(into) != ends.nbytes:
        raise ValueError(f"expected room for {ends.nbytes} bytes, got {len(into)}")
    head = bytearray(HEADER.size)
    if _fill(delta, head) != HEADER.size or head != ends.to_bytes():
        raise BadDelta(f"the header is not that of a delta from {ends.base_sha256} to {ends.target_sha256}")
    inflated, digest, start = _Inflated(delta), hashlib.sha256(), 0
    for room in _chunks(ends.nbytes):
        had = bytearray(room)
        _fill(base, had)
        words = _words(had)
        piece = into[start : start + room]
        piece[:] = (words + _unfolded(inflated.take(words.nbytes))).tobytes()[:room]
        digest.update(piece)
        start += room
    inflated.finish()
    if digest.hexdigest() != ends.target_sha256:
        raise BadDelta(f"expected a target with sha256 {ends.target_sha256}, got {digest.hexdigest()}")


def _chunks(nbytes: int) -> Iterator[int]:
    """The lengths of a file's chunks, in bytes."""
    for start in range(0, nbytes, CHUNK_BYTES):
        yield min(CHUNK_BYTES, nbytes - start)


def _words(chunk: bytearray) -> Array:
    """A chunk as words, zeros after its end."""
    return np.frombuffer(bytes(chunk) + bytes(-len(chunk) % WORD_BYTES), _WORD)


def _folded(differences: Array) -> bytes:
    """Differences as they are deflated: zigzag, then byte by byte."""
    signs = (differences.view("<i4") >> 31).view(_WORD)
    zigzag = (differences << np.uint32(1)) ^ signs
    return zigzag.view(np.uint8).reshape(-1, WORD_BYTES).T.tobytes()


def _unfolded(planes: bytes) -> Array:
    """What `_folded` was given."""
    zigzag = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(WORD_BYTES, -1).T).view(_WORD).reshape(-1)
    return (zigzag >> np.uint32(1)) ^ (np.uint32(0) - (zigzag & np.uint32(1)))


def _fill(file: Readable, buffer: bytearray) -> int:
    """Read as much as there is room, or as there is; how much that was. The rest of the buffer stays as it is."""
    view, got = memoryview(buffer), 0
    while got < len(view):
        more = file.readinto(view[got:])
        if not more:
            break
        got += more
    return got


class _Inflated:
    """A zlib stream of which no more is inflated than was asked for."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=15)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        taken = bytearray()
        while len(taken) < count:
            compressed = self._compressed()
            more = self._more(compressed, count - len(taken))
            if not more and not compressed:
                raise BadDelta(f"it ends {count - len(taken)} bytes too early")
            taken += more
        return bytes(taken)

    def finish(self) -> None:
        """Check that the stream, and the file, end here."""
        while not self._inflate.eof:
            compressed = self._compressed()
            if self._more(compressed, 1):
                raise BadDelta("it goes on after the target's end")
            if not compressed and not self._inflate.eof:
                raise BadDelta("its end is missing")
        if self._inflate.unused_data or _fill(self._file, bytearray(1)):
            raise BadDelta("something follows after its end")

    def _compressed(self) -> bytes:
        if self._inflate.unconsumed_tail:
            return self._inflate.unconsumed_tail
        buffer = bytearray(_READ_BYTES)
        return bytes(buffer[: _fill(self._file, buffer)])

    def _more(self, compressed: bytes, limit: int) -> bytes:
        try:
            return self._inflate.decompress(compressed, limit)
        except zlib.error as error:
            raise BadDelta(f"it is no zlib stream: {error}") from error
