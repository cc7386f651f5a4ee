"""Which version this device was given last: known at once, without asking anybody, also after a restart without a network.

It is a hint for the app that asks for it. What runs is decided by `muster.device.versions`, and verified there.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from muster.device.files import replace_file
from muster.wire.messages import Sha256, VersionNumber

log = logging.getLogger(__name__)


class Variant(BaseModel):
    """A version that `Device.model` has given."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: VersionNumber
    sha256: Sha256
    revision: int
    """Of what is deployed."""
    offered: int | None = None
    """How many versions clients may be given by that revision, as it was signed; None where nothing was."""


class LastVariant:
    """The last one, in a file."""

    def __init__(self, folder: Path, model: str) -> None:
        self._path = folder / variant_file(model)
        self.is_fresh = False
        """Whether it was given since this start."""
        self.known = self._read()

    def note(self, variant: Variant) -> None:
        """Remember what was given. A disk that does not take it is logged: after a restart the one before is known."""
        self.is_fresh = True
        if variant == self.known:
            return
        self.known = variant
        try:
            replace_file(self._path, variant.model_dump_json().encode())
        except OSError as error:
            log.warning("that version %d was given is in memory only, the disk does not take it: %s", variant.version, error)

    def _read(self) -> Variant | None:
        try:
            return Variant.model_validate_json(self._path.read_bytes()) if self._path.exists() else None
        except (OSError, ValidationError) as error:
            log.warning("which version was given last is not known, %s is of no use: %s", self._path, type(error).__name__)
            return None


def variant_file(model: str) -> str:
    """The name of the file."""
    return f"{model}.variant.json"
