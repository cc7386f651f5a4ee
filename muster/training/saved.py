"""What a trainer keeps on disk: arrays by name and a document of JSON, whole or not at all.

A file is the SHA-256 of what follows, and then a tensor file (`muster.wire.arrays`) in which the document is one more tensor,
of bytes. A file whose digest is another one is of no use. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from muster.device.files import replace_file
from muster.wire.arrays import Array, decode, encode
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit

log = logging.getLogger(__name__)

DOCUMENT = "muster.document"
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Saved:
    """Arrays by name, none of them called `muster.document`, and what JSON can hold."""

    arrays: Mapping[str, Array]
    document: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> Saved:
        """Those arrays whose names begin with `<name>/`, without that; and the document's member of this name."""
        start = f"{name}/"
        arrays = {key.removeprefix(start): array for key, array in self.arrays.items() if key.startswith(start)}
        return Saved(arrays, self.document.get(name, {}))


def joined(**parts: Saved) -> Saved:
    """One of several: `part` gives each back."""
    arrays = {f"{name}/{key}": array for name, part in parts.items() for key, array in part.arrays.items()}
    return Saved(arrays, {name: part.document for name, part in parts.items()})


def write(path: Path, saved: Saved) -> bool:
    """Replace a file. A disk that does not take it is logged, and what was there before still is; False then."""
    text = json.dumps(saved.document, separators=(",", ":")).encode()
    content = encode({**saved.arrays, DOCUMENT: np.frombuffer(text, np.uint8)})
    try:
        replace_file(path, hashlib.sha256(content).digest() + content)
    except OSError as error:
        log.warning("%s is not kept, the disk does not take it: %s", path.name, error)
        return False
    return True


def read(path: Path) -> Saved | None:
    """A file, if it is there and undamaged; one that is damaged is logged and deleted."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read: %s", path.name, error)
        return None
    content = memoryview(data)[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != data[:DIGEST_BYTES]:
        discard(path, "it is damaged")
        return None
    try:
        arrays = decode(content, HEADER_LIMIT_BYTES)
        return Saved(arrays, json.loads(arrays.pop(DOCUMENT).tobytes()))
    except (Unfit, KeyError, ValueError) as error:
        discard(path, f"it is none of these files: {error}")
        return None


def discard(path: Path, why: str, level: int = logging.WARNING) -> None:
    """Delete a file, and say why."""
    log.log(level, "%s is discarded: %s", path.name, why)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be deleted: %s", path.name, error)
