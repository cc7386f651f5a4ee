"""The check that every answer in the tests is held against sees Python's words, but not those that the request itself said."""

from __future__ import annotations

import httpx
import pytest

from muster.wire.problems import MEDIA_TYPE, Problem
from tests import contract


def refusal(got: str) -> httpx.Response:
    document = {
        "type": Problem.INVALID_BODY.urn, "title": "t", "status": 422, "detail": "d", "expected": "e", "got": got,
    }  # fmt: skip
    return httpx.Response(422, json=document, headers={"content-type": MEDIA_TYPE})


def test_a_word_of_pythons_is_seen_unless_the_request_said_it() -> None:
    for word in ("None", "a ValueError", "(b'x')", "Decimal"):
        with pytest.raises(AssertionError, match="a word of Python's"):
            contract.check("POST", "/v1/heartbeat", refusal(word))
        contract.check("POST", "/v1/heartbeat", refusal(word), f'{{"model": "{word}"}}')
    contract.check("POST", "/v1/heartbeat", refusal("'a/b'"))
