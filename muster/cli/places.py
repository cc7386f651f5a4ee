"""Where the server's own code is, for what runs the server itself.

The wheel never imports the server. It lies beside the wheel's sources in a checkout of the repository, or in a package of its
own (`muster_server`, made by `make wheel`), whose folder is put on Python's path when, and only when, a server is to run.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import muster

if TYPE_CHECKING:
    from muster.simulation.place import SimulatedPlace


class NoServer(Exception):
    """The server's code is not here, or not all of what it needs; the message says what to install."""


def server_folder() -> Path:
    """The folder with `app.py`, `chalicelib` and `infra`.

    Raises:
        NoServer: there is none.
    """
    spec = find_spec("muster_server")
    folders = [Path(spec.origin).parent] if spec and spec.origin else []
    folders.append(Path(muster.__file__).parent.parent)
    for folder in folders:
        if (folder / "chalicelib").is_dir() and (folder / "infra" / "memory").is_dir():
            return folder
    raise NoServer("the server's code is not installed: pip install muster-server, or work in a checkout of the repository")


@contextmanager
def server_in_this_process() -> Iterator[SimulatedPlace]:
    """The whole cloud in this process, for as long as the block lasts.

    Raises:
        NoServer: its code, or a library that it needs, is not here.
    """
    folder = str(server_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    os.environ.setdefault("AWS_CONFIG_FILE", os.devnull)  # what is asked of AWS never leaves this process
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    warnings.filterwarnings("ignore", message="IAMAuthorizer is not a supported")
    try:
        memory: Any = import_module("infra.memory.place")
    except ModuleNotFoundError as missing:
        raise NoServer(f"the server needs {missing.name}: pip install muster-server") from missing
    place = memory.MemoryPlace()
    logger = logging.getLogger("muster")
    before = logger.level
    logger.setLevel(logging.ERROR)  # its log is a function's, in JSON
    try:
        yield place
    finally:
        logger.setLevel(before)
        place.close()
