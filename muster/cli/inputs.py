"""What is wrong with a value that was typed, and what was perhaps meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from muster.wire import admin
from muster.wire.spelling import near


def wrong(error: ValidationError) -> tuple[str, str]:
    """Which value is wrong, and why; of a name that nobody knows, the names that are near to it."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or error.title
    match first["type"]:
        case "value_error":  # a sentence that says itself what came
            why = str(first["ctx"]["error"])
        case "extra_forbidden":
            known = members(error.title, first["loc"][:-1])
            hint = f": {near(str(first['loc'][-1]), known)}" if known else ""
            why = f"nothing has that name{hint}"
        case "literal_error":
            known = set(re.findall("'([^']*)'", str(first["ctx"]["expected"])))
            why = f"got {first['input']!r}: {near(str(first['input']), known)}"
        case _:
            why = f"{first['msg']}, got {first['input']!r}"
    return f"{field} is not valid", why


def members(title: str, path: tuple[Any, ...]) -> set[str]:
    """The names of the members that there are at a path in the message called `title`; none where that is not known."""
    message = getattr(admin, title, None)
    found: set[type[BaseModel]] = {message} if isinstance(message, type) and issubclass(message, BaseModel) else set()
    for part in path:
        inner = {kind for one in found if part in one.model_fields for kind in _messages(one.model_fields[part].annotation)}
        found = inner or found  # what is no member is the tag of one form among several
    return {name for one in found for name in one.model_fields}


def _messages(annotation: Any) -> Iterator[type[BaseModel]]:
    """The messages that a member may be, in any of the forms that it may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _messages(inner)
