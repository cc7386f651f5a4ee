"""The demo: its data, its hostile devices, and that it fails loudly when it does not reach what it promises."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import pytest

from examples.digits import __main__ as demo
from examples.digits import console
from examples.digits.data import digits
from examples.digits.devices import not_a_number, wrong_shape
from examples.digits.model import network
from examples.digits.place import EVERY_MINUTE, EVERY_SECOND, DemoPlace
from examples.digits.tour import Tour, TourStep
from muster.http.errors import Unreachable
from muster.training.torch import weights
from muster.wire import gate
from muster.wire.arrays import schema_of
from muster.wire.tensors import Unfit, update_schema


def test_every_scan_has_one_owner_and_the_held_out_ones_have_none() -> None:
    data = digits(30, seed=0)
    owned = [len(holding.train) + len(holding.test) for holding in data.holdings]
    assert len(owned) == 30
    assert min(owned) >= 13
    assert sum(owned) + len(data.held_out) == 1797
    again = digits(30, seed=0)
    assert all((a.train.tensors[1] == b.train.tensors[1]).all() for a, b in zip(data.holdings, again.holdings, strict=True))


@pytest.mark.parametrize(("make", "reason"), [(not_a_number, "not-finite"), (wrong_shape, "wrong-shape")])
def test_the_hostile_updates_are_as_long_as_honest_ones_and_unfit_for_one_reason(make: object, reason: str) -> None:
    base = weights(network(0))
    update = make(base)  # type: ignore[operator]
    with pytest.raises(Unfit) as refusal:
        gate.inspect(io.BytesIO(update), len(update), update_schema(schema_of(base)), hashlib.sha256(update).hexdigest())
    assert refusal.value.reason == reason


def test_a_tour_that_fails_or_leaves_another_version_deployed_is_told() -> None:
    well = Tour((TourStep("muster status digits", "", 0),), 3, 3)
    assert well.unmet() == []
    ill = Tour((TourStep("muster rollback digits", "", 1),), 3, 2)
    assert [sentence.partition(",")[0] for sentence in ill.unmet()] == [
        "expected `muster rollback digits` to succeed", "expected version 3 to be deployed after the tour",
    ]  # fmt: skip


def test_a_cloud_that_does_not_do_its_part_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise Unreachable("POST to api.example.org: ReadTimeout")

    monkeypatch.setattr(demo, "run", unreachable)
    monkeypatch.setattr("sys.argv", ["demo", "--url", "https://api.example.org"])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 3
    said = capsys.readouterr().err
    assert "the cloud did not do its part: POST to api.example.org: ReadTimeout" in said
    assert "the model digits stays there, so the next run needs another one (--model)" in said


def test_what_opens_the_console_is_typed_where_the_demo_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = DemoPlace(url="http://127.0.0.1:8123", is_own=True, pace=EVERY_SECOND, check=lambda: None)
    monkeypatch.setattr(console, "MUSTER", tmp_path / ".venv/bin/muster")
    monkeypatch.chdir(tmp_path)
    assert console.command(own) == ".venv/bin/muster --url http://127.0.0.1:8123 console"
    monkeypatch.chdir("/")
    assert console.command(own).startswith(f"{tmp_path.relative_to('/')}/.venv/bin/muster --url ")
    deployed = DemoPlace(url="https://api.example.org/api", is_own=False, pace=EVERY_MINUTE, check=lambda: None)
    assert console.command(deployed) == "muster --url https://api.example.org/api console"


def test_a_console_that_cannot_be_drawn_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("a cloud was started")

    monkeypatch.setattr(demo, "place", started)
    monkeypatch.setitem(sys.modules, "nicegui", None)
    monkeypatch.setattr("sys.argv", ["demo", "--console"])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 2
    assert "--console needs nicegui: pip install 'muster-fl[console]'" in capsys.readouterr().err


def test_a_console_that_ends_at_once_is_an_error_and_nothing_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = DemoPlace(url="ftp://example.org", is_own=True, pace=EVERY_SECOND, check=lambda: None)
    with (
        pytest.raises(RuntimeError, match="the console ended with status 2 before it had a link"),
        console.beside(nowhere, print),
    ):
        raise AssertionError("it runs")
