"""`python -m infra.bundle FOLDER`: put together the package `muster-server`, to be made a wheel of.

Chalice wants the names `app` and `chalicelib`, which would be bad neighbours in somebody's site-packages. So they lie, with
`infra`, inside one package, and whoever runs a server puts that package's folder on Python's path (`muster.cli.places`).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from muster import __version__

ROOT = Path(__file__).parent.parent
PACKAGE = "muster_server"

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "muster-server"
version = "{version}"
description = "Muster's server: what runs as functions in AWS, and in one process for muster simulate."
license = "Apache-2.0"
license-files = ["LICENSE"]
requires-python = ">=3.11"
dependencies = [
  "muster-fl[simulation]=={version}",
  "aws-lambda-powertools>=3.20,<4",
  "boto3>=1.40",
  "chalice==1.34.0",
  "pyyaml>=6",
]

[tool.setuptools]
packages = ["{package}"]
include-package-data = false

[tool.setuptools.package-data]
{package} = ["**/*.py", "**/*.yaml", "**/*.json"]
"""

INIT = '"""Muster\'s server, as a folder: `muster.cli.places` puts it on Python\'s path when a server is to run."""\n'


def bundle(folder: Path) -> None:
    """Fill a folder, which is emptied before, with what a wheel is made of."""
    shutil.rmtree(folder, ignore_errors=True)
    inside = folder / PACKAGE
    inside.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for room in ("chalicelib", "infra"):
        shutil.copytree(ROOT / room, inside / room, ignore=ignored)
    shutil.copy(ROOT / "app.py", inside)
    shutil.copy(ROOT / "LICENSE", folder)
    (inside / "__init__.py").write_text(INIT)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(version=__version__, package=PACKAGE))


def main() -> None:
    """Fill the folder that is named."""
    parser = argparse.ArgumentParser(prog="python -m infra.bundle", description=__doc__)
    parser.add_argument("folder", type=Path)
    bundle(parser.parse_args().folder)


if __name__ == "__main__":
    main()
