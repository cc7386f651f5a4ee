"""`python -m tests.flower`: run Flower apps, unmodified, on the oldest and on the newest flwr that Muster takes.

Each has an environment of its own in build/venvs, made once from its pins and kept; Muster itself is installed there anew each
time, as the wheel that pip gets, with its extras, which is also how it is known that pip can resolve them together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.local import LocalCloud

HERE, ROOT = Path(__file__).parent, Path(__file__).parent.parent.parent
ENVIRONMENTS = ("oldest", "newest")
PARTS = ("bad_apps", "cloud", "kills")
"""`inside/check_<part>.py`."""


def environment(name: str, wheel: Path) -> Path:
    """The interpreter of an environment, with this wheel in it."""
    folder, pins = ROOT / "build/venvs" / f"flower-{name}", HERE / f"requirements-{name}.txt"
    ready, python = folder / ".ready", folder / "bin/python"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
    if not ready.exists() or ready.read_text() != pins.read_text():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([*pip, "--requirement", pins, f"{wheel}[operator,flower]"], check=True)
        ready.write_text(pins.read_text())
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
    return python


def built(folder: str) -> Path:
    """The wheel of this tree."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."]
    subprocess.run(command, cwd=ROOT, check=True)
    return next(Path(folder).glob("*.whl"))


def main() -> int:
    """Make the environments, and run all of `inside` in both, side by side."""
    parser = argparse.ArgumentParser(prog="python -m tests.flower")
    parser.add_argument("--only", choices=ENVIRONMENTS, help="only one of the environments")
    parser.add_argument("--part", choices=PARTS, action="append", help="only these")
    options = parser.parse_args()
    options.part = options.part or list(PARTS)
    names = [options.only] if options.only else list(ENVIRONMENTS)
    with TemporaryDirectory() as folder:
        wheel = built(folder)
        pythons = {name: environment(name, wheel) for name in names}
    started = time.monotonic()
    failed = 0
    for part in options.part:
        with LocalCloud(api_processes=2, tick_seconds=0.5) if part == "cloud" else nullcontext() as cloud:
            failed += checked(pythons, part, cloud.url if cloud else "")
    print(f"{', '.join(names)}: {time.monotonic() - started:.0f} s, {failed or 'none'} failed")
    return min(failed, 1)


def checked(pythons: Mapping[str, Path], part: str, cloud: str) -> int:
    """Run a part of `inside` in all environments, side by side; in how many of them it failed."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "FLOWER_TESTS_CLOUD": cloud, "OMP_NUM_THREADS": "1"}
    running = {
        name: subprocess.Popen(
            [python, "-m", "pytest", "-s", "-c", HERE / "inside/pytest.ini", HERE / f"inside/check_{part}.py"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, python in pythons.items()
    }
    failed = 0
    for name, process in running.items():
        out, _ = process.communicate()
        print(f"---- {name}: {part}\n{out if process.returncode else summary(out)}", flush=True)
        failed += process.returncode != 0
    return failed


def summary(out: str) -> str:
    """Of what went well, the figures and the last line."""
    return "\n".join(line for line in out.splitlines() if "kills end" in line or " passed" in line)


if __name__ == "__main__":
    sys.exit(main())
