"""Values that a row stores as one JSON text, in which every number is the same when it is read again."""

from __future__ import annotations

from pydantic import BaseModel, BeforeValidator, PlainSerializer

AS_TEXT = PlainSerializer(BaseModel.model_dump_json)
"""Stored so."""


def from_text(kind: type[BaseModel]) -> BeforeValidator:
    """Read so."""
    return BeforeValidator(lambda value: kind.model_validate_json(value) if isinstance(value, str) else value)
