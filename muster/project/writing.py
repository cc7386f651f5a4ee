"""Puts the files of a project into a folder."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter, ValidationError

from muster.wire.messages import ModelName

ProjectKind = Literal["torch", "sklearn"]
KINDS: tuple[str, ...] = get_args(ProjectKind)

REQUIREMENTS = {"torch": "muster-fl[torch,simulation]", "sklearn": "muster-fl[sklearn,simulation]"}

_NAME: TypeAdapter[str] = TypeAdapter(ModelName)


class NotStarted(Exception):
    """There is no project where one was wanted; nothing was written. The message says why."""


def start(folder: Path, name: str, kind: str) -> list[Path]:
    """Write a project's files into a folder that is empty, or not there; return them.

    Raises:
        NotStarted: something is there already, the name is no model's, or there is no such kind.
    """
    if kind not in KINDS:
        raise NotStarted(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        raise NotStarted(
            f"name: expected lower case letters, digits and dashes, beginning with a letter, got {name!r}"
        ) from error
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotStarted(f"{folder}: expected an empty folder, or none")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for room in (kind, "common"):
        for source in sorted(resources.files("muster.project").joinpath(room).iterdir(), key=lambda one: one.name):
            if source.is_file() and not source.name.startswith("__"):
                path = folder / source.name
                path.write_text(source.read_text(encoding="utf-8").replace("NAME", name), encoding="utf-8")
                written.append(path)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENTS[kind]}\nmuster-server\npytest\n" + ("scikit-learn\n" if kind == "torch" else ""))
    return [*written, requirements]
