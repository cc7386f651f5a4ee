"""The documents' own commands and policies, as a reader would type and paste them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ASIDE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
"""What the make that runs these tests says to the makes below it."""


def block(page: str, heading: str, language: str) -> str:
    """The one block in a language under a heading of a document."""
    _, found, below = (ROOT / "docs" / page).read_text().partition(f"# {heading}\n")
    assert found, f"{page} has no heading {heading}"
    section = re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0]
    (content,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(content)


def typed(commands: str, environment: Mapping[str, str], *, answers: str = "", folder: Path = ROOT, status: int = 0) -> str:
    """Type commands into a terminal and answer what they ask; what they printed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answers.encode())
        env = {name: value for name, value in os.environ.items() if name not in ASIDE} | {"NO_COLOR": "1", **environment}
        done = subprocess.run(
            ["/bin/bash", "-euc", commands],
            cwd=folder, env=env, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    print(f"\n$ {commands.rstrip()}\n{done.stdout}")
    assert done.returncode == status, done.stdout
    return done.stdout
