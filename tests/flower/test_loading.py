"""A Flower app's folder, read and refused; no flwr is needed to read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.flower.errors import BadApp, NoFlower
from muster.flower.loading import component, described

TEXT = """
[project]
name = "toy"
[tool.flwr.app.components]
serverapp = "toy.server_app:app"
clientapp = "toy.client_app:app"
[tool.flwr.app.config]
num-server-rounds = 3
lr = 0.1
verbose = false
model = "small"
data.batch-size = 8
"""


def app(folder: Path, text: str = TEXT) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_an_app_says_what_it_consists_of(tmp_path: Path) -> None:
    found = described(app(tmp_path))
    assert (found.name, found.serverapp, found.clientapp) == ("toy", "toy.server_app:app", "toy.client_app:app")
    assert found.config == {
        "num-server-rounds": 3, "lr": 0.1, "verbose": False, "model": "small", "data.batch-size": 8,
    }  # fmt: skip
    assert found.supernodes is None


def test_an_app_may_say_how_many_clients_a_simulation_has(tmp_path: Path) -> None:
    federations = '[tool.flwr.federations]\ndefault = "local"\n[tool.flwr.federations.local]\noptions.num-supernodes = 7\n'
    assert described(app(tmp_path, TEXT + federations)).supernodes == 7


def test_values_are_overridden_by_name(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('model = "large"\n[data]\nbatch-size = 16\n')
    given = ["num-server-rounds=5 lr=1", "verbose=true", "model='a b'", str(tmp_path / "other.toml")]
    assert described(app(tmp_path), given).config == {
        "num-server-rounds": 5, "lr": 1.0, "verbose": True, "model": "large", "data.batch-size": 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("rounds=5", "--run-config rounds: .* has no such key: expected one of "),
        ("num-server-round=5", "--run-config num-server-round: .* did you mean 'num-server-rounds'"),
        ("lr=fast", "--run-config lr: fast is no value in TOML"),
        ("lr='fast'", "--run-config lr: expected float as in the app, got 'fast'"),
        ("verbose=1", "--run-config verbose: expected bool as in the app, got 1"),
        ("lr=[1]", "--run-config lr lr: expected text, a number, true or false, got list"),
        ("lr", "--run-config 'lr': expected name=value, got 'lr'"),
        ("lr=1 and", "--run-config 'lr=1 and': expected name=value, got 'and'"),
        ("nowhere.toml", "nowhere.toml is not there"),
    ],
)
def test_an_override_that_does_not_fit_is_named(tmp_path: Path, override: str, sentence: str) -> None:
    with pytest.raises(BadApp, match=sentence):
        described(app(tmp_path), [override])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (TEXT, "[project]\nname = 'x'", r"expected a table \[tool.flwr.app\], got none: this is no Flower app"),
        ("components", "parts", r"expected a table \[tool.flwr.app.components\], got none"),
        ('serverapp = "toy.server_app:app"\n', "", 'components. serverapp: expected "module:object", got none'),
        ("toy.client_app:app", "toy.client_app", "clientapp: expected \"module:object\", got 'toy.client_app'"),
        ("lr = 0.1", "lr = [0.1]", r"config\] lr: expected text, a number, true or false, got list"),
        ("lr = 0.1", "lr = ", "is not TOML"),
    ],
)
def test_a_file_that_is_no_app_is_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(BadApp, match=sentence):
        described(app(tmp_path, TEXT.replace(old, new)))


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadApp, match=r"pyproject.toml is not there"):
        described(tmp_path)


def test_without_flwr_no_component_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "flwr", None)
    with pytest.raises(NoFlower, match="flwr is not installed"):
        component(described(app(tmp_path)), "serverapp")
