"""A checkpoint made of another one and a delta (docs/protocol.md, section 10)."""

from __future__ import annotations

import hashlib
import struct
import zlib
from array import array

CHUNK_BYTES = 1 << 20
HEADER = struct.Struct("<8s32s32sQ")


class BadDelta(Exception):
    """It is of no use: read the checkpoint from its own URL."""


def apply(base: bytes, delta: bytes, base_sha256: str, target_sha256: str, target_bytes: int) -> bytes:
    """The target, whose digest was computed and compared.

    Raises:
        BadDelta: anything at all is wrong.
    """
    head = HEADER.pack(b"MUSTERD1", bytes.fromhex(base_sha256), bytes.fromhex(target_sha256), target_bytes)
    if delta[: HEADER.size] != head:
        raise BadDelta("its header is another one's")
    stream, compressed, target = zlib.decompressobj(), delta[HEADER.size :], bytearray()
    try:
        while len(target) < target_bytes:
            size = min(CHUNK_BYTES, target_bytes - len(target))
            words = -(-size // 4)
            planes = stream.decompress(compressed, 4 * words)  # never more than this chunk needs
            compressed = stream.unconsumed_tail
            if len(planes) != 4 * words:
                raise BadDelta("its stream ends too early")
            target += _chunk(base[len(target) : len(target) + size], planes, words)[:size]
        more = stream.decompress(compressed, 1)
    except zlib.error as error:
        raise BadDelta(f"its stream is damaged: {error}") from error
    if more or not stream.eof or stream.unused_data:
        raise BadDelta("it does not end where its target does")
    if hashlib.sha256(target).hexdigest() != target_sha256:
        raise BadDelta("it makes another file")
    return bytes(target)


def _chunk(base: bytes, planes: bytes, words: int) -> bytes:
    """The words of a chunk: those of the base, and the differences, of which all lowest bytes come first."""
    had = struct.unpack(f"<{words}I", base.ljust(4 * words, b"\0"))
    made = array("I", bytes(4 * words))
    for at, (first, second, third, highest, b) in enumerate(
        zip(planes[:words], planes[words : 2 * words], planes[2 * words : 3 * words], planes[3 * words :], had, strict=True)
    ):
        z = first | second << 8 | third << 16 | highest << 24
        made[at] = (b + ((z >> 1) ^ -(z & 1))) & 0xFFFFFFFF
    return struct.pack(f"<{words}I", *made)
