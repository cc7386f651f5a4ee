"""What is wrong with a message, in the words of JSON: pydantic's own speak of Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is not a member of this message",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a text",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} members",
    "too_long": "must have at most {max_length} members",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
"""By pydantic's type of an error (pydantic: "Validation errors"); the context fills the gaps."""


def explained(error: Mapping[str, Any], content: Any) -> tuple[str, str]:
    """Where a message is wrong, as a path of member names with dots (empty: the whole), and how.

    `error` is one of pydantic's, with its context, `content` the message as it came. Of a member that may be one of several
    types, pydantic also says which of them it tried; that is no part of the message.
    """
    where: list[str] = []
    inner, at = content, list(error["loc"])
    while at and isinstance(inner, (dict, list)):
        part = at.pop(0)
        where.append(_short(part))
        try:
            inner = inner[part]
        except (LookupError, TypeError):
            break
    words = _WORDS.get(error["type"], "is not what it must be").format(**error.get("ctx", {}))
    if at == ["[key]"]:
        words = f"as the name of a member, {words}"
    elif at and error["type"] != "missing":
        words = "has none of the forms that it may have"
    return ".".join(where), words


def _short(part: object) -> str:
    text = str(part)
    return text if len(text) <= 64 else text[:61] + "..."
