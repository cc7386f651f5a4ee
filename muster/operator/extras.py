"""Libraries that not everybody needs: they are imported when something is drawn, or made a frame."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class NotInstalled(Exception):
    """A library that draws or makes frames is not here; the message says which."""


def extra(library: str, what: str) -> Any:
    """A library of the extra `notebook`, imported now.

    Raises:
        NotInstalled: it is not here.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as missing:
        name = library.partition(".")[0]
        if missing.name is None or missing.name.partition(".")[0] != name:
            raise
        raise NotInstalled(f"{what} {name}, which pip install 'muster-fl[notebook]' brings") from missing
