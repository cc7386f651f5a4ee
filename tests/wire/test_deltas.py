"""A delta leads from one file to another, bit by bit. Of anything else nothing is used, and no more inflated than announced."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.wire import deltas
from muster.wire.deltas import CHUNK_BYTES, HEADER, BadDelta, DeltaEnds, apply_delta, encode_delta

FILES = st.binary(max_size=70)


def ends(base: bytes, target: bytes) -> DeltaEnds:
    return DeltaEnds(hashlib.sha256(base).hexdigest(), hashlib.sha256(target).hexdigest(), len(target))


def made(base: bytes, target: bytes) -> bytes:
    return b"".join(encode_delta(io.BytesIO(base), io.BytesIO(target), ends(base, target)))


def applied(base: bytes, delta: bytes, to: DeltaEnds) -> bytes:
    memory = bytearray(to.nbytes)
    apply_delta(io.BytesIO(base), io.BytesIO(delta), to, memoryview(memory))
    return bytes(memory)


def by_the_page(base: bytes, delta: bytes) -> bytes:
    """A reader after docs/protocol.md, section 10, that knows nothing of numpy: the slow, clear version."""
    magic, _, _, nbytes = struct.unpack_from("<8s32s32sQ", delta)
    assert magic == b"MUSTERD1"
    inflated, target = zlib.decompress(delta[80:]), bytearray()
    for start in range(0, nbytes, 1_048_576):
        n = min(1_048_576, nbytes - start)
        count = -(-n // 4)
        planes, inflated = inflated[: 4 * count], inflated[4 * count :]
        had = base[start : start + n].ljust(4 * count, b"\0")
        words = bytearray()
        for word in range(count):
            z = int.from_bytes(planes[word::count], "little")
            b = int.from_bytes(had[4 * word : 4 * word + 4], "little")
            words += ((b + ((z >> 1) ^ -(z & 1))) % 2**32).to_bytes(4, "little")
        target += words[:n]
    assert inflated == b""
    return bytes(target)


@settings(deadline=None)
@given(base=FILES, target=FILES)
def test_what_a_delta_makes_of_its_base_is_its_target(base: bytes, target: bytes) -> None:
    delta = made(base, target)
    assert applied(base, delta, ends(base, target)) == target
    assert by_the_page(base, delta) == target
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deltas, "CHUNK_BYTES", 16)
        assert applied(base, made(base, target), ends(base, target)) == target


@pytest.mark.parametrize("length", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 3])
@pytest.mark.parametrize("more", [-7, 0, 9])
def test_files_of_many_chunks_are_cut_alike_whatever_the_length_of_the_base(length: int, more: int) -> None:
    values = np.random.default_rng(length)
    target = values.bytes(length)
    base = target[: length + more].ljust(length + more, b"x")
    delta = made(base, target)
    assert applied(base, delta, ends(base, target)) == target == by_the_page(base, delta)
    assert len(delta) < length / 100


def test_the_bytes_of_a_delta_are_these() -> None:
    base, target = bytes.fromhex("00000000ffffffff"), bytes.fromhex("01000000feffffff")
    delta = made(base, target)
    assert delta[:8] == b"MUSTERD1"
    assert delta[8:72] == hashlib.sha256(base).digest() + hashlib.sha256(target).digest()
    assert delta[72:80] == bytes([8, 0, 0, 0, 0, 0, 0, 0])
    assert zlib.decompress(delta[80:]) == bytes([2, 1, 0, 0, 0, 0, 0, 0])


@settings(deadline=None)
@given(base=FILES, target=FILES, data=st.data())
def test_a_delta_that_was_changed_anywhere_is_refused_or_makes_the_target_after_all(
    base: bytes, target: bytes, data: st.DataObject
) -> None:
    delta = bytearray(made(base, target))
    at = data.draw(st.integers(0, len(delta) - 1))
    mutation = data.draw(st.sampled_from(["flip", "cut", "drop", "insert", "append"]))
    if mutation == "flip":
        delta[at] ^= data.draw(st.integers(1, 255))
    elif mutation == "cut":
        del delta[at:]
    elif mutation == "drop":
        del delta[at]
    elif mutation == "insert":
        delta[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    else:
        delta += data.draw(st.binary(min_size=1, max_size=4))
    try:
        found = applied(base, bytes(delta), ends(base, target))
    except BadDelta:
        return
    assert found == target


@given(base=FILES, target=FILES, stream=st.binary(max_size=100))
def test_any_stream_at_all_is_refused_by_name(base: bytes, target: bytes, stream: bytes) -> None:
    to = ends(base, target)
    with pytest.raises(BadDelta):
        applied(base, to.to_bytes() + stream, to)
    with pytest.raises(BadDelta):
        applied(base, stream, to)


def test_a_delta_of_other_files_is_refused_before_anything_is_inflated() -> None:
    base, target, other = b"base", b"target", b"tarGet"
    delta = made(base, target)
    for wrong in (
        ends(other, target),
        ends(base, other),
        DeltaEnds(ends(base, b"").base_sha256, ends(b"", target).target_sha256, 7),
    ):
        with pytest.raises(BadDelta, match="header"):
            applied(base, delta, wrong)
    with pytest.raises(ValueError, match="room for 6"):
        apply_delta(io.BytesIO(base), io.BytesIO(delta), ends(base, target), memoryview(bytearray(5)))


def test_a_base_that_is_not_the_one_it_should_be_makes_nothing() -> None:
    delta = made(b"base", b"target")
    with pytest.raises(BadDelta, match="expected a target with sha256"):
        applied(b"bAse", delta, ends(b"base", b"target"))


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        (zlib.compress(bytes(7)), "too early"),
        (zlib.compress(bytes(9)), "goes on"),
        (zlib.compress(bytes(8)) + b"!", "something follows"),
        (zlib.compress(bytes(8))[:-1], "its end is missing"),
        (zlib.compress(bytes(8))[:-4] + bytes(4), "no zlib stream"),
        (b"", "too early"),
        (b"\x1f\x8b" + bytes(20), "no zlib stream"),
    ],
)
def test_a_stream_is_exactly_as_long_as_it_should_be(stream: bytes, what: str) -> None:
    target = bytes(8)
    to = ends(target, target)
    assert applied(target, to.to_bytes() + zlib.compress(bytes(8)), to) == target
    with pytest.raises(BadDelta, match=what):
        applied(target, to.to_bytes() + stream, to)


def test_what_follows_a_stream_is_noticed_also_when_it_was_not_yet_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deltas, "_READ_BYTES", 1)
    delta = made(b"base", b"target")
    assert applied(b"base", delta, ends(b"base", b"target")) == b"target"
    with pytest.raises(BadDelta, match="something follows"):
        applied(b"base", delta + b"!", ends(b"base", b"target"))


def test_a_bomb_is_inflated_no_further_than_the_announced_length() -> None:
    bomb = zlib.compress(bytes(300 << 20))
    target = bytes(3 * CHUNK_BYTES)
    to = ends(b"", target)
    tracemalloc.start()
    with pytest.raises(BadDelta, match="goes on"):
        applied(b"", to.to_bytes() + bomb, to)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * CHUNK_BYTES


def test_memory_is_bounded_by_the_chunk_and_not_by_the_file() -> None:
    class Zeros:
        def __init__(self, left: int) -> None:
            self.left = left

        def readinto(self, buffer: memoryview, /) -> int:
            got = min(len(buffer), self.left)
            self.left -= got
            return got

    nbytes = 64 * CHUNK_BYTES
    tracemalloc.start()
    length = sum(map(len, encode_delta(Zeros(nbytes), Zeros(nbytes), DeltaEnds("0" * 64, "1" * 64, nbytes))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * CHUNK_BYTES
    assert length < nbytes / 500
    with pytest.raises(EOFError):
        list(encode_delta(Zeros(1), Zeros(nbytes - 1), DeltaEnds("0" * 64, "1" * 64, nbytes)))


def test_steps_of_training_leave_less_than_three_quarters() -> None:
    values = np.random.default_rng(0)
    base = values.normal(0, 0.05, 200_000).astype("f4")
    target = base + values.normal(0, 0.0005, base.size).astype("f4")
    delta = made(base.tobytes(), target.tobytes())
    assert HEADER.size < len(delta) < 0.72 * base.nbytes
    assert len(zlib.compress(target.tobytes(), 6)) > 0.9 * base.nbytes
