"""The vectors: files that the protocol's page speaks of, good and bad, each with the word that the server has for it.

    python -m muster.conformance.vectors          write `vectors.json`, which is in the wheel beside this package
    python -m muster.conformance.vectors --check  only say whether it is up to date

`files` are tensor files, `encodings` what their values mean, `deltas` what leads from one checkpoint to another,
`statements` what was signed of a deployment.

Bytes are hex. What is in the document, and how to use it, is in docs/conformance.md. It is made from the code that it is there
to check others by; the tests hold each vector against the server's own gate and decoders, and against a second implementation.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from muster.conformance.vectors import deltas, encodings, files, statements
from muster.wire.deltas import HEADER

FILE = Path(__file__).parent.with_name("vectors.json")


def document() -> dict[str, Any]:
    """All vectors."""
    return {
        "about": "Vectors of the device protocol of Muster (docs/protocol.md, docs/conformance.md). Bytes are hex.",
        "format": 1,
        "models": {name: [files.shown(spec) for spec in schema] for name, schema in files.MODELS.items()},
        "files": [*files.good(), *files.bad()],
        "encodings": list(encodings.written()),
        "deltas": [*deltas.good(), *deltas.bad()],
        "statements": [*statements.good(), *statements.bad()],
    }


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two documents say the same. Another release of zlib may write a delta in other bytes that inflate to the same."""
    return _inflated(one) == _inflated(other)


def load() -> dict[str, Any]:
    """The document as it is in the wheel."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _inflated(found: Mapping[str, Any]) -> dict[str, Any]:
    deltas = [{**one, "delta": _stream(bytes.fromhex(one["delta"]))} for one in found["deltas"]]
    return {**found, "deltas": deltas}


def _stream(delta: bytes) -> list[str]:
    """A delta's header, and what its stream inflates to; a damaged one as it is."""
    try:
        return [delta[: HEADER.size].hex(), zlib.decompress(delta[HEADER.size :]).hex()]
    except zlib.error:
        return [delta[: HEADER.size].hex()]


def _text(made: Mapping[str, Any]) -> str:
    """The document with one vector a line."""
    lines = []
    for name, value in made.items():
        text = "[\n" + ",\n".join(json.dumps(one) for one in value) + "\n]" if isinstance(value, list) else json.dumps(value)
        lines.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: Sequence[str]) -> int:
    """Write the document, or check it."""
    made, there = document(), load() if FILE.exists() else None
    if there is not None and same(made, there):
        return 0
    if "--check" in arguments:
        sys.stdout.write("vectors.json is out of date; run python -m muster.conformance.vectors\n")
        return 1
    FILE.write_text(_text(made), encoding="utf-8")
    sys.stdout.write(f"wrote {FILE.name}\n")
    return 0
