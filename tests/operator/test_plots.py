"""`muster metrics plot` and `muster round plot`: in any terminal, and as PNG files."""

from __future__ import annotations

import sys
import warnings
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from rich.console import Console
from typer.main import get_command

from muster.cli import figures, pictures
from muster.cli.app import app
from muster.cli.figures import Bars, Curve
from muster.cli.session import PIPED_WIDTH
from muster.wire import admin
from tests.fleet import World
from tests.operator.terminal import Terminal
from tests.rounds.playing import run_round

NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
HOSTILE: list[list[float]] = [
    [], [0.5], [3.0] * 3, [0.0, 0.0], [1e300, -1e300], [1.7e308, -1.7e308, 0.0], [1.7e308] * 2, [5e-324, 0.0], [5e-324] * 2,
    [1e16, 1e16 + 2],
]  # fmt: skip


def a_metric(values: list[float], name: str = "accuracy") -> admin.MetricReply:
    points = [
        admin.MetricPoint(at=NOW + timedelta(minutes=number), value=value, version=None, round=None)
        for number, value in enumerate(values)
    ]
    aggregates: dict[str, Any] = dict.fromkeys(("mean", "min", "max", "sum"))
    return admin.MetricReply(model="toy", name=name, hours=1, count=len(values), points=points, **aggregates)


def a_round_of(number: int, **told: Any) -> admin.RoundReply:
    found: dict[str, Any] = {
        "round": f"toy.{number}", "number": number, "phase": "completed", "config_revision": 1, "base_version": 0,
        "opened_at": NOW, "report_by": NOW, "closed_at": NOW + timedelta(seconds=60),
        "finished_at": NOW + timedelta(seconds=90), "assigned": 0, "reported": 0, "accepted": 4, "rejected": {}, "late": 0,
        "uploaded_bytes": 0, "examples": 0,
        "evaluations": 0, "version": None, "gain": None, "deployed": False, "reason": None, **told,
    }  # fmt: skip
    return admin.RoundReply(**found)


def shown(figure: Curve | Bars, width: int, **how: Any) -> list[str]:
    """The lines of a figure on a terminal."""
    file = StringIO()
    Console(file=file, width=width, **how).print(figure, highlight=False, crop=False)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("values", HOSTILE, ids=str)
@pytest.mark.parametrize("width", [40, 160, PIPED_WIDTH])
def test_a_curve_fits_into_a_terminal_whatever_its_numbers(values: list[float], width: int) -> None:
    lines = shown(Curve.of(a_metric(values)), width)
    assert max(map(len, lines)) <= min(width, figures.WIDEST)
    assert lines[0].startswith("accuracy of toy, last 1 hour:")
    drawn = "".join(lines)
    assert (len(lines) > figures.LINES) == bool(values)
    assert not values or f"{max(values):.4g}" in drawn
    assert "\x1b" not in drawn
    assert bool(values) == any("\u2801" <= sign <= "\u28ff" for sign in drawn), "there are dots if there are points"


def test_a_curve_goes_from_the_lower_left_to_the_upper_right() -> None:
    lines = shown(Curve.of(a_metric([0.25, 0.5, 0.75])), 40)
    assert lines[1].startswith("0.75 ┤")
    assert lines[1][-1] != "\u2800"
    assert lines[figures.LINES].startswith("0.25 ┤")
    assert lines[figures.LINES][len("0.25 ┤")] != "\u2800"
    assert lines[-1].split() == ["11-29", "10:00", "11-29", "10:02"]


@given(st.lists(FLOATS, min_size=1))
def test_positions_lie_between_0_and_1_and_keep_the_order(values: list[float]) -> None:
    found = figures.positions(values)
    assert all(0.0 <= at <= 1.0 for at in found)
    assert [at for _, at in sorted(zip(values, found, strict=True))] == sorted(found)
    assert min(values) == max(values) or {0.0, 1.0} <= set(found)


@given(st.lists(FLOATS))
def test_what_is_drawn_times_its_power_of_ten_is_what_was_measured(values: list[float]) -> None:
    drawn, power = pictures.scaled(values)
    assert drawn == values if not power else max(map(abs, drawn)) < 100.0
    if power:
        for was, now in zip(values, drawn, strict=True):
            half = power // 2
            assert now * 10.0**half * 10.0 ** (power - half) == pytest.approx(
                was, rel=1e-12, abs=1e-12 * max(map(abs, values)) + 1e-323
            )


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(*[TIMES] * 3, *[st.integers(0, 10**12)] * 4, st.booleans()),
        max_size=4,
    ),
    st.integers(figures.NARROWEST, 200),
)
def test_bars_are_drawn_of_any_rounds(told: list[tuple[Any, ...]], width: int) -> None:
    rounds = [
        a_round_of(
            number + 1, opened_at=opened, closed_at=None if going else closed, finished_at=None if going else finished,
            accepted=accepted, rejected={"late": rejected}, late=late, failed={"x": failed},
        )
        for number, (opened, closed, finished, accepted, rejected, late, failed, going) in enumerate(told)
    ]  # fmt: skip
    for bars in (figures.time_line("toy", rounds, NOW), figures.places("toy", rounds)):
        lines = shown(bars, width, no_color=True)
        room = max(width, figures.NARROWEST)
        assert all(len(line) <= room for line in lines if set(line) & set(figures.SHADES) == set(line)), "a bar fits"
        text = " ".join(" ".join(lines).split())
        assert all(" ".join(bar.said.split()[:1]) in text for bar in bars.bars)


def test_a_bar_is_as_long_as_its_sum_and_its_parts_are_told_apart_without_colours() -> None:
    bars = figures.places("toy", [a_round_of(2, accepted=6, rejected={"a": 1, "b": 2}, late=1), a_round_of(1, accepted=5)])
    title, legend, second, first = shown(bars, 80, no_color=True)
    assert title == "2 rounds of toy: what became of updates"
    assert legend == "█ accepted  ▓ rejected  ▒ late  ░ failed"
    assert [second.count(shade) * 10 for shade in "█▓▒"] == pytest.approx(
        [sum(map(second.count, "█▓▒")) * n for n in (6, 3, 1)], abs=10
    )
    assert first.count("█") == pytest.approx(sum(map(second.count, "█▓▒")) / 2, abs=1)
    assert second.endswith("6 accepted, 3 rejected, 1 late")
    narrow = shown(bars, 30, no_color=True)
    assert len(narrow) > 4
    assert max(map(len, narrow)) <= 40


@pytest.mark.parametrize("values", HOSTILE, ids=str)
def test_a_picture_is_drawn_whatever_its_numbers(values: list[float], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.png(tmp_path / "curve.png", Curve.of(a_metric(values, name="a_$b")))
    pixels = imread(tmp_path / "curve.png")
    inked = (pixels[:, :, 2] - pixels[:, :, 0]) > 0.2
    assert bool(inked.any()) == bool(values), "the blue curve is there if there are points"


def test_a_metric_and_rounds_are_plotted_from_the_terminal(world: World, muster: Terminal, tmp_path: Path) -> None:
    world.relive(run_round)
    world.monitor()
    curve = muster.text("metrics plot toy accuracy")
    assert curve.startswith("accuracy of toy, last 1 hour: 1 point\n")
    assert muster.json("metrics plot toy accuracy") == muster.json("metrics query toy accuracy")
    bars = muster.text("round plot toy")
    assert "round 1 of toy: how long the phases took" in bars
    assert "3 accepted" in bars
    assert muster.text("round plot toy 1") == bars
    assert muster.json("round plot toy 1") == [muster.json("round show toy 1")]
    for line in ("metrics plot toy accuracy", "round plot toy"):
        path = tmp_path / "figure.png"
        assert muster.text(f"{line} --out {{}}", path).startswith(f"wrote {path}: ")
        assert path.read_bytes().startswith(b"\x89PNG")
        assert "--force" in muster.fails(f"{line} --out {{}}", 2, path)
        muster.text(f"{line} --out {{}} --force", path)
        path.unlink()
        assert "does not end in .png" in muster.fails(f"{line} --out {{}}", 2, tmp_path / "figure.pdf")
        assert "cannot be used" in muster.fails(f"{line} --out {{}}", 2, tmp_path / "none" / "figure.png")
    assert "There is no such round" in muster.fails("round plot toy 7", 1)


def test_help_has_no_brackets_because_a_terminal_takes_them_for_markup() -> None:
    waiting: list[Any] = [get_command(app)]
    while waiting:
        command = waiting.pop()
        assert "[" not in (command.help or ""), command.name
        waiting += getattr(command, "commands", {}).values()


def test_a_library_that_is_missing_names_its_extra(
    world: World, muster: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.relive(run_round)
    world.monitor()
    monkeypatch.setitem(sys.modules, "plotille", None)
    complaint = muster.fails("metrics plot toy accuracy", 2)
    assert "a curve in the terminal needs plotille" in complaint
    assert "next  pip install 'muster-fl[notebook]'" in complaint
    assert "accepted" in muster.text("round plot toy"), "bars need no library"
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    complaint = muster.fails("metrics plot toy accuracy --out {}", 2, tmp_path / "figure.png")
    assert "a picture needs matplotlib" in complaint
