"""Files of a device: readable by their owner only, replaced in one step, durable.

A file is durable when its content is on the disk, and the folder's entry for it too: fsync(2) of a file "does not necessarily
ensure that the entry in the directory containing the file has also reached disk", that takes an fsync of the directory.
"""

from __future__ import annotations

import logging
import os
import re
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, and make it durable.

    Raises:
        OSError: it could not be written; what was there before still is, and nothing else is left.
    """
    _make_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    _settle(path.parent)


def remove_leftovers(folder: Path, *names: str) -> None:
    """Delete what dead processes left of files of these names that they were writing. What cannot be deleted is logged."""
    try:
        found = [path for path in folder.iterdir() if _is_leftover(path.name, names)] if folder.exists() else []
        for path in found:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("leftovers in %s cannot be deleted: %s", folder, error)


def _is_leftover(name: str, names: tuple[str, ...]) -> bool:
    found = re.fullmatch(r"\.(.+)\.([0-9]{1,10})", name)
    return found is not None and found[1] in names and not _lives(int(found[2]))


def _lives(pid: int) -> bool:
    """Whether a process of this id, or something of which nothing can be known, is there."""
    if os.name != "posix":
        return True  # elsewhere signal 0 is no question but an order to end
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, as far as they are not there, with durable entries."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _settle(folder.parent)


def _settle(folder: Path) -> None:
    """Make the entries of a folder durable, where the platform can do that. The file itself is whole in any case."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        _say_once(str(folder), error.strerror or type(error).__name__)


@cache
def _say_once(folder: str, why: str) -> None:
    log.warning("names in %s may be lost when the power goes, the folder cannot be synchronised: %s", folder, why)
