"""Makes what AWS gets: `python -m infra.package` writes a template and the functions' code to `build/package/<architecture>/`.

    app.py, chalicelib, muster ──▶ chalice package ──▶ one zip ──▶ code.zip   everything
    requirements.txt           ──▶  (Python 3.13)      template    light.zip  without numpy
    infra/resources.yaml       ──▶                         └─────▶ template.yaml

The Lambda runtime is the Python that runs Chalice, so it runs in an environment of its own with Python 3.13. The same sources
make the same bytes: every version is pinned, and each zip is written anew, sorted, without dates.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, get_args

import yaml

from infra.errors import Stopped, told
from infra.interpreter import environment
from infra.steps import step

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "package"

Architecture = Literal["x86_64", "arm64"]

WITHOUT_NUMPY = ("Monitor",)
"""Functions (logical ids) that never load numpy. The API does so when a model is created: the rules check their parameters."""

ZIP_LIMIT_BYTES, UNZIPPED_LIMIT_BYTES = 50_000_000, 250_000_000
"""What Lambda takes (AWS Lambda: "Quotas", deployment package size)."""

IN_LAMBDA = ("__init__.py", "aggregation", "layout.py", "pacing", "pricing", "py.typed", "wire")
"""What functions need of the wheel's rooms."""


class UnfitPackage(Stopped):
    """What came out is not what Lambda should get."""


def package(architecture: Architecture, into: Path = BUILD) -> Path:
    """Make the template and the zips for one architecture, and return their folder.

    Raises:
        infra.interpreter.NoInterpreter: there is no Python 3.13.
        Unfit: Chalice failed, or what it made lacks a library, or is too large.
    """
    python = environment(into / "venv", ROOT / "infra" / "package-requirements.txt", ROOT / "requirements.txt")
    work, out = into / f".{architecture}", into / architecture
    for folder in (work, out):
        shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True)
    _sources(work / "project", architecture)
    with step("collecting the libraries and writing the template, by chalice package"):
        template = _chalice(python, work / "project", work / "made")
    everything = work / "made" / "deployment.zip"
    with step("writing code.zip and light.zip"):
        rewrite(everything, out / "code.zip", lambda name: True)
        rewrite(everything, out / "light.zip", lambda name: not _is_numpy(name))
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "light.zip" if logical_id in WITHOUT_NUMPY else "code.zip"
    (out / "template.yaml").write_text(yaml.safe_dump(template, width=128))
    _check(out)
    _check_ways_in(template)
    shutil.rmtree(work)
    return out


def _sources(project: Path, architecture: Architecture) -> None:
    """What Chalice packages: the server, and of the wheel what the server needs."""
    project.mkdir(parents=True)
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, project)
    ignored = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
    for name in (".chalice", "chalicelib"):
        shutil.copytree(ROOT / name, project / name, ignore=ignored)
    (project / "vendor/muster").mkdir(parents=True)
    for name in IN_LAMBDA:
        room, target = ROOT / "muster" / name, project / "vendor/muster" / name
        if room.is_dir():
            shutil.copytree(room, target, ignore=ignored)
        else:
            shutil.copy(room, target)
    config = project / ".chalice" / "config.json"
    said: dict[str, Any] = json.loads(config.read_text())
    config.write_text(json.dumps({**said, "lambda_architecture": architecture}))


def _chalice(python: Path, project: Path, made: Path) -> dict[str, Any]:
    """Run Chalice; the template that it wrote."""
    merged = ["--merge-template", str(ROOT / "infra" / "resources.yaml"), "--template-format", "yaml"]
    # A region is asked for and not written anywhere. The wheel is imported from where it will lie in the zip.
    env = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": str(project / "vendor")}
    command = [str(python.with_name("chalice")), "package", "--stage", "dev", *merged, str(made)]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnfitPackage(f"chalice package failed:\n{done.stdout}{done.stderr}")
    template: dict[str, Any] = yaml.safe_load((made / "sam.yaml").read_text())
    return template


def rewrite(source: Path, target: Path, wanted: Callable[[str], bool]) -> None:
    """Write a zip anew with the files that are wanted, without tests and bytecode: sorted, of one date and owner.

    Files are taken over as they were compressed: to compress them again takes longer than all else here.
    """
    with (
        source.open("rb") as read,
        zipfile.ZipFile(read) as old,
        target.open("wb") as write,
        zipfile.ZipFile(write, "w") as new,
    ):
        for was in sorted(old.infolist(), key=lambda entry: entry.filename):
            name = was.filename
            if name.endswith("/") or _is_left_out(name) or not wanted(name):
                continue
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            entry.create_system = 3  # Unix, wherever this runs
            entry.compress_type, entry.CRC = was.compress_type, was.CRC
            entry.compress_size, entry.file_size = was.compress_size, was.file_size
            _append(new, write, entry, _compressed(read, was))


def _compressed(file: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes as they lie in a zip, behind a header of 30 bytes and two lengths (PKWARE, APPNOTE.TXT, 4.3.7)."""
    file.seek(entry.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(name + extra, os.SEEK_CUR)
    return file.read(entry.compress_size)


def _append(archive: zipfile.ZipFile, file: BinaryIO, entry: zipfile.ZipInfo, compressed: bytes) -> None:
    """Add an entry to the zip in a file, as `ZipFile.mkdir` adds one: `writestr` would compress it."""
    entry.header_offset = archive.start_dir
    file.seek(archive.start_dir)
    file.write(entry.FileHeader(zip64=False) + compressed)
    archive.start_dir = file.tell()
    archive.filelist.append(entry)


def _is_left_out(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__pycache__" in parts or (parts[0] == "numpy" and "tests" in parts)


def _is_numpy(name: str) -> bool:
    return name.split("/", 1)[0].split("-", 1)[0] in ("numpy", "numpy.libs")


def _check(out: Path) -> None:
    """Look into the zips: Chalice only warns when a library has no wheel for Lambda, and goes on without it."""
    needed = {"light.zip": {"app.py", "muster/wire/messages.py", "pydantic_core/__init__.py"}}
    needed["code.zip"] = needed["light.zip"] | {"numpy/__init__.py", "muster/aggregation/plan.py"}
    for name, files in needed.items():
        with zipfile.ZipFile(out / name) as archive:
            if missing := files - set(archive.namelist()):
                raise UnfitPackage(f"{name} lacks {', '.join(sorted(missing))}: a library has no wheel for Lambda's Python")
            unzipped = sum(entry.file_size for entry in archive.infolist())
        zipped = (out / name).stat().st_size
        if zipped >= ZIP_LIMIT_BYTES or unzipped >= UNZIPPED_LIMIT_BYTES:
            limits = f"{ZIP_LIMIT_BYTES} bytes, and {UNZIPPED_LIMIT_BYTES} unzipped"
            raise UnfitPackage(f"{name}: expected below {limits}, got {zipped} and {unzipped}")


def _check_ways_in(template: dict[str, Any]) -> None:
    """See that AWS SAM will make one stage: throttles, the firewall and the rules for addresses are said of that one.

    The deployment of an API that does not say its version makes another, named `Stage` (AWS SAM: `OpenApiVersion`).
    """
    said = template["Resources"]["RestAPI"]["Properties"].get("OpenApiVersion")
    if said != "2.0":
        raise UnfitPackage(f"RestAPI: expected OpenApiVersion 2.0, so that there is one stage, got {said}")


def sizes(out: Path) -> Iterable[str]:
    """What was made, a line each."""
    for path in sorted(out.iterdir()):
        yield f"{path.stat().st_size:>12,}  {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}"


def main() -> None:
    """Package for the architectures that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.package", description="Make the template and the code that AWS gets."
    )
    choices = get_args(Architecture)
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE", help=f"{' or '.join(choices)} (default: both)")
    asked = parser.parse_args().architectures or choices
    if unknown := set(asked) - set(choices):
        parser.error(f"expected {' or '.join(choices)}, got {', '.join(sorted(unknown))}")
    for architecture in asked:
        print(*sizes(package(architecture)), sep="\n")


if __name__ == "__main__":
    with told():
        main()
