"""Signed statements, and what must not be taken for one. They were signed once: nobody has the private keys any more."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

_P256 = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
"""How every public key of P-256 begins in DER."""

KEY = _P256 + "tdobUsgosVBPUo5awZEFFyIdbsNUkY7WANyVZ3dVUHfXHujPwnO7FVlz3kzM5uG+RnYGxo49lLT8tzMR0v77Bg=="
OTHER_KEY = _P256 + "tPvfrAxpkRZjqMaotBHK1asAQlVIK9FFBR56mDyFN4qqLR6BxoO2UFy2H7BDsKWrCBSNJWByWETduP2fpwMS1Q=="
STATEMENT = (
    '{"format":"muster-deployment-1","model":"digits","offered":['
    f'{{"bytes":37704,"document_sha256":"{"5" * 64}","parent":1,"sha256":"{"3" * 8}{"a" * 56}","version":3}},'
    f'{{"bytes":37704,"document_sha256":"{"6" * 64}","parent":3,"sha256":"{"4" * 8}{"b" * 56}","version":4}}],"revision":12}}'
)
SIGNATURE = "MEQCIEwmWlzb2WNFcFS6UIIn10uelxvSe2ia/oMaYpwYjIzIAiBcOQoeEKrlspLvGjB+RVbgpPYcxHQ+8bfWAWAZ+D0XCQ=="
OF_COMFORT = "MEYCIQC2y5Z0otW+8eCR1KF9SLfRFurTgie/I/GZJu/LcCCJxgIhAMUF1lFonv6CHWHll1JWx/94ILzFZWvSNMe57vWRKCmk"
OF_FORMAT_0 = "MEQCIBRg0oYEXatWjbfQ7d8Pr8f3V/9BKkXObA1lzj/S2vISAiAsF4gj8vSdAsTuXsqRILEvy2fxIxwnT9CPSwjZ6P4qkQ=="


def _given(name: str, about: str, **other: Any) -> dict[str, Any]:
    """An answer to a device of the model `digits` that has pinned `signing_key`."""
    checkpoint = {"version": 4, "sha256": "4" * 8 + "b" * 56, "bytes": 37704}
    said = {"signing_key": KEY, "checkpoint": checkpoint, "statement": STATEMENT, "signature": SIGNATURE}
    return {"name": name, "about": about, "fit": not other, "model": "digits", **said, **other}


def good() -> Iterator[dict[str, Any]]:
    """An answer to be believed."""
    yield _given("signed", "the example of section 12")


def bad() -> Iterator[dict[str, Any]]:
    """Answers that are not."""
    fit = next(good())
    flipped = bytearray(base64.b64decode(SIGNATURE))
    flipped[20] ^= 1
    yield _given("no-statement", "nothing is signed", statement=None, signature=None)
    yield _given("no-signature", "a statement alone", signature=None)
    yield _given("other-key", "another key is pinned", signing_key=OTHER_KEY)
    yield _given("flipped-signature", "one bit of the signature", signature=base64.b64encode(flipped).decode())
    yield _given("flipped-statement", "one bit of the statement", statement=STATEMENT.replace(":12}", ":13}"))
    yield _given("spaced-statement", "the same JSON, in another text", statement=STATEMENT.replace(",", ", "))
    yield _given(
        "other-model", "signed, of another model", statement=STATEMENT.replace("digits", "comfort"), signature=OF_COMFORT
    )
    yield _given(
        "other-format",
        "signed, and no statement of this format",
        statement=STATEMENT.replace("deployment-1", "deployment-0"),
        signature=OF_FORMAT_0,
    )
    for name, value in (("version", 5), ("sha256", "3" * 8 + "a" * 56), ("bytes", 37705)):
        given = {**fit["checkpoint"], name: value}
        yield _given(f"other-{name}", f"a checkpoint whose {name} is not offered", checkpoint=given)
