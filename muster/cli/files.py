"""Files that commands read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer


def json_object(path: Path | None, option: str) -> dict[str, Any]:
    """What a file of JSON says; nothing without one.

    Raises:
        typer.BadParameter: it is not JSON, or no object.
    """
    try:
        values = json.loads(path.read_bytes()) if path else {}
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint=option) from error
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path} does not hold a JSON object", param_hint=option)
    return values
