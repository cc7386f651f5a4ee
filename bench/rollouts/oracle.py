"""The boundary as its authors compute it: confseq (Howard and Waudby-Smith), built in an environment of its own.

It needs a C++ compiler and Boost's headers (Debian: g++, libboost-dev). The package's own build pins a pybind11 that knows no
Python from 3.11 on, so it is built with the one that is named here.
"""

from __future__ import annotations

import json
import math
import subprocess
import venv
from pathlib import Path

from chalicelib.rollouts.guard import BEST_AT, boundary

VENV = Path(__file__).parent.parent.parent / "build/bench/venvs/confseq"
BUILD = [
    "cmake==4.2.0",
    "ninja==1.13.0",
    "numpy==2.3.5",
    "pybind11==3.0.1",
    "scikit-build==0.18.1",
    "setuptools<70",
    "wheel==0.45.1",
]
ORACLE = "confseq==0.0.11"

INFORMATION = [*range(10, 200, 7), *range(200, 20_000, 331)]
LEVELS = (0.01, 0.045, 0.05, 0.1)

ASKED = """
import json, sys
from confseq.boundaries import normal_mixture_bound as bound
asked = json.load(sys.stdin)
best = asked["best"]
print(json.dumps([bound(v, 2 * a, best, 2 * a, is_one_sided=False) for v in asked["v"] for a in asked["a"]]))
"""


def largest_difference() -> float:
    """By how much the two boundaries differ at most, in standard errors."""
    ready = VENV / ".ready"
    if not ready.exists():
        venv.create(VENV, with_pip=True, clear=True)
        pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *BUILD], check=True)
        subprocess.run([*pip, "--no-build-isolation", ORACLE], check=True)
        ready.touch()
    asked = json.dumps({"best": BEST_AT, "v": INFORMATION, "a": LEVELS})
    done = subprocess.run([VENV / "bin/python", "-c", ASKED], input=asked, check=True, stdout=subprocess.PIPE, text=True)
    theirs = iter(json.loads(done.stdout))
    return float(max(abs(boundary(v, a) - next(theirs) / math.sqrt(v)) for v in INFORMATION for a in LEVELS))
