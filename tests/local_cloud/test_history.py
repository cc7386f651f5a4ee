"""The notebook that reads a model's history runs from its first cell to its last, over HTTP."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from infra.local import LocalCloud
from muster.operator import Operator
from tests.simulation.places import there

NOTEBOOK = Path(__file__).parent.parent.parent / "examples/history.ipynb"


def test_every_cell_runs_and_the_files_say_what_the_server_says(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Operator.connect(cloud.url)) as operator:
        there(operator, clients=4, rounds=2, model="history")
        told = list(operator.rounds("history"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSTER_URL", cloud.url)
    monkeypatch.setenv("MODEL", "history")
    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    names: dict[str, Any] = {}
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells), "what a notebook has shown is not kept"
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    names["plt"].close("all")
    assert names["judged"].index.tolist() == [rnd.version for rnd in reversed(told)]
    with (tmp_path / "history/history-rounds.csv").open() as file:
        written = [(row["round"], row["phase"], row["accepted"]) for row in csv.DictReader(file)]
    assert written == [(str(rnd.number), rnd.phase, str(rnd.accepted)) for rnd in reversed(told)]
