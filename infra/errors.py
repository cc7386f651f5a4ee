"""How the commands of this folder end when something is missing: with a line that says what, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """A command cannot go on. The message says what is missing or wrong, and how to mend it."""


@contextmanager
def told() -> Iterator[None]:
    """Let an expected error end the process with its message and status 1; everything else keeps its traceback."""
    try:
        yield
    except Stopped as error:
        sys.exit(f"muster: {error}")
