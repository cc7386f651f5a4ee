"""What a hostile device might send: requests that are right, nearly right, or nothing of the kind; and updates."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np
from hypothesis import strategies as st

from app import app
from muster.wire.arrays import encode
from muster.wire.messages import Request
from tests.refusals import UPDATE

Schema = dict[str, Any]

ROUTES = sorted(
    (method, path, vars(entry.view_function)["speech"].takes)
    for path, methods in app.routes.items()
    for method, entry in methods.items()
    if not path.startswith("/v1/admin/") and path != "/v1/clients"
)  # fmt: skip
"""Devices' routes: method, path and the message that it takes."""

NAMES = {
    "model": ["toy", "other", "nosuch"], "round_id": ["toy.1", "toy.2", "toy.3", "other.1", "toy.01", "toy.99999999"],
    "version": ["0", "1", "2", "3", "01", "99999999"],
}  # fmt: skip

LONG = 2048
"""Bytes of a name that is in no key."""


def valid(schema: Schema, definitions: Schema | None = None) -> st.SearchStrategy[Any]:
    """Values that a JSON schema (of pydantic's) admits."""
    definitions = schema.get("$defs", definitions or {})

    def inner(of: Schema) -> st.SearchStrategy[Any]:
        return valid(of, definitions)

    match schema:
        case {"$ref": str(ref)}:
            return inner(definitions[ref.rpartition("/")[2]])
        case {"anyOf": list(options)}:
            return st.one_of(*map(inner, options))
        case {"enum": list(values)}:
            return st.sampled_from(values)
        case {"const": value}:
            return st.just(value)
        case {"type": "null"}:
            return st.none()
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "integer"}:
            return st.integers(schema.get("minimum"), schema.get("maximum", schema.get("exclusiveMaximum", 2**63) - 1))
        case {"type": "number"}:
            return st.floats(schema.get("minimum", -1e30), schema.get("maximum", 1e30))
        case {"type": "string"}:
            return st.from_regex(schema["pattern"], fullmatch=True)
        case {"type": "array", "items": items}:
            return st.lists(inner(items), min_size=schema.get("minItems", 0), max_size=min(3, schema.get("maxItems", 3)))
        case {"type": "object", "patternProperties": dict(some)}:
            ((pattern, values),) = some.items()
            names = st.from_regex(pattern, fullmatch=True)
            return st.dictionaries(names, inner(values), min_size=schema.get("minProperties", 0), max_size=3)
        case {"type": "object", "properties": dict(members)}:
            needed = {name: inner(of) for name, of in members.items() if name in schema.get("required", [])}
            other = {name: inner(of) for name, of in members.items() if name not in needed}
            return st.fixed_dictionaries(needed, optional=other)
    raise NotImplementedError(schema)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 2**31, 2**63, -(2**63) - 1, 10**38, 10**39, 10**400, 1e-320, 1e126, 1e308, float("nan"), float("inf")]
    ),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "é" * 70, "x" * LONG, "\ud800", "' OR 1=1", "#pk", "${x}", "../..", "toy.01", "None"]),
    st.recursive(
        st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
)
"""What no message asks for."""


@st.composite
def nearly(draw: st.DrawFn, value: Any) -> Any:
    """A value with one member changed, dropped or added, somewhere."""
    if isinstance(value, dict) and draw(st.booleans()):
        kept, how = dict(value), draw(st.sampled_from(["drop", "add", "change"]))
        if how == "add" or not kept:
            return {**kept, draw(st.text(max_size=8)): draw(ODD)}
        name = draw(st.sampled_from(sorted(kept)))
        if how == "drop":
            del kept[name]
            return kept
        return {**kept, name: draw(nearly(kept[name]))}
    return draw(ODD)


@st.composite
def bodies(draw: st.DrawFn, takes: type[Request] | None) -> bytes:
    """A body for a route: as it should be, nearly so, or bytes of any kind."""
    if takes is None:
        return draw(st.sampled_from([b"", b"{}", b"\0"]))
    value = draw(valid(takes.model_json_schema()))
    if "round" in value:
        value["round"] = draw(st.sampled_from(NAMES["round_id"]))
    how = draw(st.sampled_from(["right", "right", "nearly", "twice", "deep", "bytes"]))
    if how == "nearly":
        value = draw(nearly(value))
    text = json.dumps(value).encode()
    if how == "twice":
        return text[:-1] + b", " + text[1:]
    if how == "deep":
        return b'{"a":' * draw(st.integers(1, 12_000))
    return draw(st.binary(max_size=80)) if how == "bytes" else text


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes, dict[str, str | None], bool]:
    """Method, path, body and headers of a request, and whether it bears the device's own key."""
    method, path, takes = draw(st.sampled_from(ROUTES))
    for name, some in NAMES.items():
        odd = st.sampled_from(["%00", "%FF", "x" * LONG, "9" * LONG, "a%2Fb", "-1", "Toy"]) | st.text(max_size=9).map(_quoted)
        path = path.replace(f"{{{name}}}", draw(st.sampled_from(some) if draw(st.integers(0, 3)) else odd))
    if draw(st.integers(0, 9)) == 0:
        path = draw(
            st.sampled_from([f"{path}/", f"/{path}", path.replace("/v1/", "/v1//"), path.upper(), f"{path}?have=x&have=y"])
        )
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]))
    headers: dict[str, str | None] = {}
    if draw(st.integers(0, 5)) == 0:
        media_types = ["text/plain", "application/octet-stream", "image/png", "*/*", "application/json; charset=latin-1", ""]
        headers["Content-Type"] = draw(st.none() | st.sampled_from(media_types))
    if draw(st.integers(0, 5)) == 0:
        headers["If-None-Match"] = draw(st.sampled_from(["*", '"0.x"', "x" * LONG]))
    own = draw(st.integers(0, 7)) > 0
    if not own:
        keys = ["", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {'a' * LONG}.{'b' * 43}", "Bearer a.b.c"]
        headers["Authorization"] = draw(st.none() | st.sampled_from(keys))
    return method, path, draw(bodies(takes)), headers, own


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@st.composite
def updates(draw: st.DrawFn) -> bytes:
    """An update's file: fit, with values of any size, or changed at some place.

    Values stay below 2**59, and so norms far below 1e37.
    """
    sizes = st.floats(-(2.0**59), 2.0**59, width=32) | st.sampled_from([0.0, 1e-45, float("nan"), float("inf")])
    bias = np.array(draw(st.lists(sizes, min_size=3, max_size=3)), "f4")
    steps = np.array(draw(st.integers(-(2**63), 2**63 - 1)), "i8")
    data = encode({**UPDATE, "layer.bias": bias, "norm.num_batches_tracked": steps})
    if draw(st.integers(0, 2)):
        return data
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + draw(st.binary(max_size=9)) + data[at + draw(st.integers(0, 9)) :]
