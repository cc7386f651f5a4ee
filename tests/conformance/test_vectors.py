"""The vectors are up to date, cover what the protocol names, and each is what the server itself says of it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muster.conformance import vectors
from muster.conformance.vectors.deltas import content
from muster.wire import gate
from muster.wire.admin import RoundConfig
from muster.wire.arrays import DTYPES, Array
from muster.wire.deltas import BadDelta, DeltaEnds, apply_delta
from muster.wire.encodings import ENCODINGS
from muster.wire.reasons import Reason
from muster.wire.tensors import TensorSpec, Unfit, update_schema
from muster.wire.values import decode_update, encode_update

PAGE = Path(__file__).parent.parent.parent / "docs/protocol.md"
VECTORS = vectors.load()


def named(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [pytest.param(one, id=one.get("name")) for one in VECTORS[kind]])


MAX_COUNT = int(RoundConfig(goal=1, quorum=1).max_count)


def specs(described: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=one["name"], dtype=one["dtype"], shape=tuple(one["shape"])) for one in described)


def test_the_vectors_are_up_to_date_and_small() -> None:
    assert vectors.same(vectors.document(), VECTORS)
    assert vectors.FILE.stat().st_size < 200_000


def test_a_document_that_says_something_else_is_not_the_same() -> None:
    changed = {**VECTORS, "deltas": [{**VECTORS["deltas"][0], "delta": VECTORS["deltas"][1]["delta"]}, *VECTORS["deltas"][1:]]}
    assert not vectors.same(changed, VECTORS)


def test_every_word_that_a_file_can_be_rejected_with_has_a_vector() -> None:
    found = {one["word"] for one in VECTORS["files"]}
    source = "".join(path.read_text() for path in Path(gate.__file__).parent.glob("*.py"))
    words = {Reason[name].value for name in re.findall(r"Unfit\(\s*Reason\.([A-Z_]+)", source)}
    assert found == words | {None}
    assert {one["encoding"] for one in VECTORS["files"] if one["word"] is None} == set(ENCODINGS)


@named("files")
def test_the_gate_says_the_word_of_a_file(vector: dict[str, Any]) -> None:
    data, schema = bytes.fromhex(vector["bytes"]), update_schema(specs(VECTORS["models"][vector["model"]]))
    word = None
    try:
        gate.inspect(io.BytesIO(data), len(data), schema, vector["sha256"], vector["encoding"], max_count=MAX_COUNT)
    except Unfit as unfit:
        word = unfit.reason
    assert word == vector["word"]


@pytest.mark.parametrize("vector", VECTORS["encodings"], ids=lambda one: f"{one['about']}, {one['dtype']} as {one['encoding']}")
def test_an_encoding_writes_and_reads_what_its_vector_says(vector: dict[str, Any]) -> None:
    shape = tuple(vector["shape"])
    values = np.frombuffer(bytes.fromhex(vector["values"]), DTYPES[vector["dtype"]]).reshape(shape)
    tensors: dict[str, Array] = {}
    for one in vector["tensors"]:
        tensors[one["name"]] = np.frombuffer(bytes.fromhex(one["bytes"]), DTYPES[one["dtype"]]).reshape(one["shape"])
    read = decode_update(tensors, {"w": values.astype(np.float64)})["w"]
    assert read.tobytes().hex() == vector["read"]
    file = encode_update({"w": values}, vector["encoding"])
    assert file.endswith(b"".join(bytes.fromhex(one["bytes"]) for one in vector["tensors"]))


@named("deltas")
def test_a_delta_leads_to_its_target_or_is_refused(vector: dict[str, Any]) -> None:
    base, target = content(vector["base"]), content(vector["target"])
    ends, into = DeltaEnds(vector["base_sha256"], vector["target_sha256"], vector["target_bytes"]), bytearray(len(target))
    delta = io.BytesIO(bytes.fromhex(vector["delta"]))
    if vector["fit"]:
        apply_delta(io.BytesIO(base), delta, ends, memoryview(into))
        assert bytes(into) == target
    else:
        with pytest.raises(BadDelta):
            apply_delta(io.BytesIO(base), delta, ends, memoryview(into))


def test_the_example_of_the_page_is_a_vector() -> None:
    (hand,) = [one for one in VECTORS["deltas"] if one["name"] == "by-hand"]
    assert f"base `{' '.join(re.findall('.{8}', hand['base']['bytes']))}`" in PAGE.read_text()
