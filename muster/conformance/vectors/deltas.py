"""Deltas that lead from one file to another, and damaged ones that a device must not use."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from muster.conformance.vectors.files import update, whole
from muster.wire.deltas import CHUNK_BYTES, HEADER, MAGIC, WORD_BYTES, DeltaEnds, encode_delta

Described = Mapping[str, Any]
"""A file: its bytes in hex, how many times they are repeated, and what follows."""


def _delta(name: str, about: str, base: Described, target: Described, delta: bytes, fit: bool) -> dict[str, Any]:
    file = content(target)
    return {
        "name": name,
        "about": about,
        "fit": fit,
        "base": dict(base),
        "target": dict(target),
        "base_sha256": hashlib.sha256(content(base)).hexdigest(),
        "target_sha256": hashlib.sha256(file).hexdigest(),
        "target_bytes": len(file),
        "delta": delta.hex(),
    }


def content(described: Described) -> bytes:
    """The bytes of a base or a target: `bytes` (hex), repeated `times`, and then `tail` (hex)."""
    return bytes.fromhex(described["bytes"]) * int(described.get("times", 1)) + bytes.fromhex(described.get("tail", ""))


def _hex(text: str) -> Described:
    return {"bytes": text}


def _long(word: str, tail: str) -> Described:
    """A chunk full of one word, and what follows it."""
    return {"bytes": word, "times": CHUNK_BYTES // WORD_BYTES, "tail": tail}


def _made(base: Described, target: Described) -> bytes:
    had, wanted = content(base), content(target)
    return b"".join(encode_delta(io.BytesIO(had), io.BytesIO(wanted), _ends(had, wanted)))


def _ends(had: bytes, wanted: bytes) -> DeltaEnds:
    return DeltaEnds(hashlib.sha256(had).hexdigest(), hashlib.sha256(wanted).hexdigest(), len(wanted))


_BY_HAND = (_hex("00000000ffffffff"), _hex("01000000feffffff"))


def good() -> Iterator[dict[str, Any]]:
    """Deltas that lead where they say."""
    some, other = whole(update("small", 1)).hex(), whole(update("small", 2)).hex()
    cases: tuple[tuple[str, str, Described, Described], ...] = (
        ("by-hand", "the example of section 10", *_BY_HAND),
        ("files", "from one tensor file to another", _hex(some), _hex(other)),
        ("same", "from a file to itself", _hex(some), _hex(some)),
        ("odd-end", "a target whose last word is not whole", _hex("0102030405"), _hex("0102030406ff07")),
        ("wraps", "differences modulo 2^32", _hex("ffffffff0000000000000000"), _hex("000000000000008001000080")),
        ("base-shorter", "the base ends first: zeros follow", _hex("01020304"), _hex("01020304050607080910")),
        ("base-longer", "the base goes on: that does not matter", _hex("01020304aabbccdd"), _hex("010203")),
        ("empty-target", "a target of no bytes", _hex("01"), _hex("")),
        ("two-chunks", "a second chunk, that is not whole", _long("0000803f", "01020304"), _long("0100803f", "0202030405")),
    )
    for name, about, base, target in cases:
        yield _delta(name, about, base, target, _made(base, target), True)


def bad() -> Iterator[dict[str, Any]]:
    """Damaged ones: the checkpoint is then to be read from its own URL."""
    base, target = _BY_HAND
    fit = _made(base, target)
    head, planes = fit[: HEADER.size], zlib.decompress(fit[HEADER.size :])

    def unfit(name: str, about: str, delta: bytes) -> dict[str, Any]:
        return _delta(name, about, base, target, delta, False)

    yield unfit("no-bytes", "nothing at all", b"")
    yield unfit("only-header", "no stream", head)
    yield unfit("other-magic", "another first word", b"MUSTERD2" + fit[len(MAGIC) :])
    yield unfit("other-base", "the header names another base", fit[:8] + bytes(32) + fit[40:])
    yield unfit("other-target", "the header names another target", fit[:40] + bytes(32) + fit[72:])
    yield unfit("other-length", "the header names another length", fit[:72] + struct.pack("<Q", 9) + fit[80:])
    yield unfit("cut", "the stream's end is missing", fit[:-1])
    yield unfit("more", "a byte follows the stream", fit + b"\0")
    yield unfit("checksum", "the stream's checksum is another", fit[:-1] + bytes([fit[-1] ^ 1]))
    yield unfit("no-zlib", "no zlib stream", head + b"\xff" * 12)
    yield unfit("too-short", "the stream holds too few bytes", head + zlib.compress(planes[:-1]))
    yield unfit("too-long", "the stream goes on after the target's end", head + zlib.compress(planes + b"\0"))
    yield unfit("bomb", "a megabyte of zeros after the target's end", head + zlib.compress(planes + bytes(1 << 20), 9))
    yield unfit(
        "wrong-content",
        "it makes another file than it says: only the digest tells",
        head + zlib.compress(bytes([4]) + planes[1:]),
    )
