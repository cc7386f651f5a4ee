"""How the commands of this folder end when something is missing: with a line that says what, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError


class Stopped(Exception):
    """A command cannot go on. The message says what is missing or wrong, and how to mend it."""


@contextmanager
def told() -> Iterator[None]:
    """Let an expected error end the process with its message and status 1; everything else keeps its traceback.

    AWS's own errors name the operation and, where a permission is missing, the permission.
    """
    try:
        yield
    except (Stopped, BotoCoreError, ClientError) as error:
        sys.exit(f"muster: {error}")
    except (KeyboardInterrupt, EOFError):
        sys.exit("muster: stopped; what AWS was asked for before goes on")
