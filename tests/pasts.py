"""What has happened in a world, kept so that other worlds can begin with it (`World.relive`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.memory.stores import Stores
from muster import Device


@dataclass(frozen=True, slots=True)
class Past:
    """All that a world has, but what its functions and devices remember."""

    stores: Stores | None
    """None where they cannot be copied: they are moto's."""
    now: datetime
    enrolled: int
    """How many devices were given a name."""
    files: Mapping[str, bytes]
    """What the devices have on their disks."""
    devices: Sequence[tuple[str, str]]
    """The ids and models of the devices that it told, if that is what it told."""
    told: Any

    @classmethod
    def of(cls, told: Any, now: datetime, enrolled: int, folder: Path, stores: Stores | None) -> Past:
        """What lies there now."""
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        found = told if isinstance(told, list) else []
        devices = [(device.client_id, device._model) for device in found if isinstance(device, Device)]
        return cls(stores.copy() if stores else None, now, enrolled, files, devices, None if devices else told)

    def write(self, folder: Path) -> None:
        """Put the devices' files into an empty folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(content)
