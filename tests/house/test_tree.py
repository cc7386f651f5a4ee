"""What is kept under version control is written by people, and small."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MOST_BYTES = 512 << 10
ARCHIVES = {".whl", ".gz", ".tgz", ".zip", ".tar", ".npz", ".safetensors"}


def test_no_archive_and_no_large_file_is_tracked() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("these sources are not under version control")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]
    assert tracked
    assert [path.name for path in tracked if path.suffix in ARCHIVES or path.stat().st_size > MOST_BYTES] == []
