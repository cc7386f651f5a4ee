"""Python 3.13, wherever it is, and environments made with it: the Lambda package, and the strict cloud, need that very one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.errors import Stopped
from infra.steps import step

VERSION = "3.13"
"""The Lambda runtime, and so the Python that packages for it."""


class NoInterpreter(Stopped):
    """There is no Python 3.13 on this machine; the message says how to get one."""


def find() -> Path:
    """The interpreter.

    Raises:
        NoInterpreter: none was found on PATH, through pyenv, or through uv.
    """
    for candidate in _candidates():
        if _version(candidate) == VERSION:
            return candidate
    raise NoInterpreter(
        f"Python {VERSION}, Lambda's runtime, was not found on PATH, in pyenv or in uv. Install it (`uv python install "
        f"{VERSION}`, `pyenv install {VERSION}`, or your system's package python{VERSION}), or name it: "
        f"MUSTER_PYTHON=/path/to/python{VERSION}"
    )


def environment(folder: Path, *requirements: Path) -> Path:
    """The interpreter of a virtual environment with these requirements files; made when it is not there, or they changed.

    It is filled by the pip of the environment that this runs in, and has one of its own only if they name it.
    """
    python, mark = folder / "bin" / "python", folder / ".made-from"
    asked = hashlib.sha256(b"\0".join(path.read_bytes() for path in requirements)).hexdigest()
    if mark.exists() and mark.read_text() == asked:
        return python
    interpreter = find()
    shutil.rmtree(folder, ignore_errors=True)
    files = [word for path in requirements for word in ("--requirement", str(path))]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    with step(f"filling {folder} for {' and '.join(path.name for path in requirements)}, once for all"):
        subprocess.run([str(interpreter), "-m", "venv", "--without-pip", str(folder)], check=True)
        # Most of what is installed is never imported; what is, Python compiles then.
        subprocess.run([*pip, "install", "--no-compile", *files], check=True)
    mark.write_text(asked)
    return python


def _candidates() -> Iterator[Path]:
    named = os.environ.get("MUSTER_PYTHON")
    if named:
        yield Path(named)
        return
    if found := shutil.which(f"python{VERSION}"):
        yield Path(found)
    if shutil.which("pyenv"):
        for version in _output("pyenv", "versions", "--bare").split():
            if version.startswith(f"{VERSION}.") or version == VERSION:
                yield Path(_output("pyenv", "prefix", version)) / "bin" / f"python{VERSION}"
    if shutil.which("uv"):
        yield Path(_output("uv", "python", "find", VERSION))


def _version(python: Path) -> str:
    return _output(str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def _output(*command: str) -> str:
    """What a command prints; nothing when it cannot be run, or fails (a shim of pyenv without that version, say)."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
