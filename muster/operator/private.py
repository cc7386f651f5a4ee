"""Folders for what is nobody else's business: files that only their owner can read, and that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import IO

PARTIAL = ".partial"
"""The end of the name of a file that is being written."""

SHOWN = 5
"""Files that an error names; of more it says how many there are."""


class FilesDiffer(Exception):
    """Files of a folder are gone, or are not what they were."""

    def __init__(self, root: Path, missing: list[str], changed: list[str]) -> None:
        told = [f"{word}: {_some(names)}" for word, names in (("missing", missing), ("changed", changed)) if names]
        super().__init__(f"{root}: {'; '.join(told)}")


class PrivateFolder:
    """A folder of such files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self) -> None:
        """Make the folder, if it is not there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, path: str) -> BufferedReader:
        """A file of the folder, to be read."""
        return (self.root / path).open("rb")

    def digest(self, path: str) -> str | None:
        """SHA-256 (hex) of a file, all of which is read, or None when it is not there."""
        if not (self.root / path).is_file():
            return None
        with self.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, path: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Make a file, whole or not at all: under another name until `fill` is done with it. What was there is replaced."""
        target = self.root / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}{PARTIAL}")
        try:
            with open(partial, "wb", opener=_private) as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())  # its name must not outlive its bytes when the power fails
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
