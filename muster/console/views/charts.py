"""Pictures: options of Apache ECharts, made of numbers (pure). Colours are names that the page's style gives a meaning in light
and in dark. Texts come from devices and operators: none is ever a key of the options, which could be code, nor HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from muster.console.views.blocks import Chart

INK, FAINT, PAPER = "var(--ink)", "var(--line)", "var(--paper)"
COLOURS = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)")

Options = dict[str, Any]

MOST_MARKS = 40
"""Points of a curve that are marked, each; of one that has more only the line is drawn."""


def lines(label: str, x_name: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Chart:
    """Curves over whole numbers. A curve is told apart by its mark and its dashes too, not by its colour alone."""
    options = _frame(legend=list(series))
    options["xAxis"] = {**_axis("value", x_name), "minInterval": 1, "min": "dataMin", "max": "dataMax"}
    options["yAxis"] = {**_axis("value", ""), "scale": True}
    options["series"] = [_curve(at, name, points) for at, (name, points) in enumerate(series.items())]
    return Chart(label, options)


def over_time(label: str, series: Mapping[str, Sequence[tuple[datetime, float]]]) -> Chart:
    """Curves of counts over time, in UTC. So that they can be told apart they are dashed differently."""
    options = _frame(legend=list(series))
    options["useUTC"] = True
    options["xAxis"] = _axis("time", "UTC")
    options["yAxis"] = {**_axis("value", ""), "minInterval": 1, "min": 0}
    options["series"] = [
        {
            **_curve(at, name, [(point.timestamp() * 1000, value) for point, value in points]),
            "showSymbol": len(points) <= MOST_MARKS,
        }
        for at, (name, points) in enumerate(series.items())
    ]
    return Chart(label, options)


def stacks(
    label: str,
    names: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    unit: str = "",
    sideways: bool = False,
    whole: bool = True,
) -> Chart:
    """Bars of parts: one a name. Where they are `whole`, so are the numbers at the axis."""
    options = _frame(legend=list(series) if len(series) > 1 else [])
    of_names = {**_axis("category", ""), "data": list(names)}
    of_values = {**_axis("value", unit), **({"minInterval": 1} if whole else {})}
    if sideways:
        options |= {"xAxis": of_values, "yAxis": {**of_names, "inverse": True}}
        options["grid"] |= {"bottom": 36}
    else:
        options |= {"xAxis": of_names, "yAxis": of_values}
    options["series"] = [
        {
            "type": "bar", "name": name, "stack": "all", "data": list(values), "color": COLOURS[at % 5], "barMaxWidth": 28,
            "emphasis": {"disabled": True}, "itemStyle": {"borderColor": PAPER, "borderWidth": 1},
        }
        for at, (name, values) in enumerate(series.items())
    ]  # fmt: skip
    height = 90 + 26 * len(names) if sideways else 200
    return Chart(label, options, min(620, height))


def tree(label: str, nodes: Sequence[Options], links: Sequence[Options], kinds: Sequence[str]) -> Chart:
    """Points with arrows between them. Each node has `name`, `value` (its column, and its row: 0 or -1) and `category`, which
    is one of `kinds` by its number.
    """
    options = _frame(legend=list(kinds))
    options.pop("tooltip")
    options["grid"] |= {"left": 24, "right": 24, "bottom": 8, "containLabel": False}
    options["xAxis"] = {"type": "value", "show": False, "min": 0, "max": len(nodes) - 1}
    options["yAxis"] = {"type": "value", "show": False, "min": -1.5, "max": 0.5}
    options["series"] = [
        {
            "type": "graph", "coordinateSystem": "cartesian2d", "layout": "none",
            "symbolSize": 24, "edgeSymbol": ["none", "arrow"], "edgeSymbolSize": 7,
            "categories": [{"name": kind, "itemStyle": {"color": COLOURS[at % 5]}} for at, kind in enumerate(kinds)],
            "label": {"show": True, "color": "var(--on-colour)", "fontSize": 11},
            "lineStyle": {"color": INK, "width": 1.5, "opacity": 0.7}, "emphasis": {"disabled": True},
            "data": list(nodes), "links": list(links),
        }
    ]  # fmt: skip
    return Chart(label, options, 150)


def _frame(legend: Sequence[str]) -> Options:
    return {
        "animation": False,
        "aria": {"enabled": False},
        "textStyle": {"fontFamily": "sans-serif"},
        "tooltip": {
            "trigger": "axis", "renderMode": "richText", "backgroundColor": PAPER, "borderColor": FAINT,
            "textStyle": {"color": INK},
        },
        "legend": {"show": bool(legend), "data": list(legend), "textStyle": {"color": INK}, "top": 0, "selectedMode": False},
        "grid": {"left": 12, "right": 24, "top": 44 if legend else 16, "bottom": 32, "containLabel": True},
    }  # fmt: skip


def _curve(at: int, name: str, points: Sequence[tuple[float, float]]) -> Options:
    marks, dashes = ("circle", "rect", "triangle", "diamond", "emptyCircle"), ("solid", "dashed", "dotted", "solid", "dashed")
    return {
        "type": "line", "name": name, "data": [list(point) for point in points], "symbol": marks[at % 5], "symbolSize": 7,
        "color": COLOURS[at % 5], "lineStyle": {"type": dashes[at % 5], "width": 2}, "emphasis": {"disabled": True},
    }  # fmt: skip


def _axis(kind: str, name: str) -> Options:
    return {
        "type": kind, "name": name, "nameLocation": "middle", "nameGap": 24, "nameTextStyle": {"color": INK},
        "axisLabel": {"color": INK, "hideOverlap": True}, "axisLine": {"lineStyle": {"color": FAINT}},
        "axisTick": {"lineStyle": {"color": FAINT}}, "splitLine": {"show": kind == "value", "lineStyle": {"color": FAINT}},
    }  # fmt: skip
