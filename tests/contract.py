"""Every answer that a test ever gets from the API is held against `docs/openapi.json`: the status, the media type, the name of
the refusal, and the members of the body. Refusals and receipts are in plain words."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs

from muster.wire.problems import MEDIA_TYPE, Problem

PYTHON = re.compile(
    r"Error\b|Exception|Traceback|<class|object at 0x|\b(None|True|False|dict|tuple|str|int|bool|Decimal|Measurement)\b|"
    r"pydantic|Input should|instance of|(?<![^\s:([,=])b'"
)
"""What no refusal and no receipt may have: names of Python's, or of the server's own classes."""

DOCUMENT = json.loads((Path(__file__).parent.parent / "docs/openapi.json").read_text())

_OPERATIONS = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$"), item) for path, item in DOCUMENT["paths"].items()]


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """Of a schema in JSON, which may refer to the document's components."""
    return jsonschema_rs.Draft202012Validator({**json.loads(schema), "components": DOCUMENT["components"]})


def check(method: str, path: str, response: httpx.Response, said: str = "") -> None:
    """Raise an AssertionError for an answer that the document does not have. What the request `said` may be told back to it."""
    item: dict[str, Any] = next((item for pattern, item in _OPERATIONS if pattern.match(path)), {})
    operation = item.get(method.lower())
    if operation is None:
        refused = response.status_code, response.headers["content-type"], response.json()["type"]
        assert refused == (403, MEDIA_TYPE, Problem.FORBIDDEN.urn), f"{method} {path} is no route"
        return
    told = f"{method} {path} answered {response.status_code}: {response.text[:300]}"
    assert str(response.status_code) in operation["responses"], f"undocumented: {told}"
    content = operation["responses"][str(response.status_code)].get("content")
    if content is None:
        assert response.content == b"", told
        return
    media_type = response.headers["content-type"]
    assert media_type in content, told
    if media_type == MEDIA_TYPE or path.endswith(("/report", "/failure")):
        found = [word[0] for word in PYTHON.finditer(response.text) if word[0] not in said]
        assert not found, f"{found[0]!r} is a word of Python's: {told}"
    errors = list(_validator(json.dumps(content[media_type]["schema"])).iter_errors(response.json()))
    assert not errors, f"{errors[0].message}: {told}"
