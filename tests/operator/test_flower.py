"""`muster flower run`, as far as it goes without flwr: what it complains of, and what it says to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.cli.errors import _of_flower
from muster.flower import errors
from tests.operator.terminal import Terminal

ROOT = Path(__file__).parent.parent.parent
APP = ROOT / "tests/flower/apps/message-api"


def test_without_the_extra_the_command_says_what_to_install(
    muster: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "flwr", None)
    said = muster.fails(f"flower run {APP} --state {tmp_path}", 2)
    assert "Flower is not installed" in said
    assert "pip install 'muster-fl[operator,flower]'" in said


def test_a_folder_that_is_no_app_is_named(muster: Terminal, tmp_path: Path) -> None:
    assert "pyproject.toml is not there" in muster.fails(f"flower run {tmp_path}", 2)


def test_a_key_that_does_not_exist_is_named(muster: Terminal) -> None:
    assert "did you mean 'num-server-rounds'?" in muster.fails(f"flower run {APP} --run-config num-rounds=3", 2)


def test_a_metric_has_a_direction(muster: Terminal) -> None:
    assert "expected NAME, NAME:higher or NAME:lower" in muster.fails(f"flower run {APP} --metric loss:down", 2)


def test_every_error_has_words_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FlowerError)]
    told = {kind: _of_flower(kind() if kind is errors.NoFlower else kind("why")) for kind in kinds}
    assert len(told) == 8
    assert len({what for what, *_ in told.values()}) == 7, "only what has no words shares them with its base"
