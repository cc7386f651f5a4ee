"""How good a model's versions are, and what its rounds measured, as curves."""

from __future__ import annotations

from collections.abc import Sequence

from muster.console import words
from muster.console.views import charts
from muster.console.views.blocks import Chart
from muster.wire import admin
from muster.wire.deciding import DecidingMetric

Points = list[tuple[float, float]]


def deciding(model: str, metric: DecidingMetric, versions: Sequence[admin.VersionReply]) -> Chart | None:
    """What judges measured of each version in the metric that decides, and what the same judges measured of the version that
    was deployed then: the first less its gain. Each version had judges of its own, so what compares two points is the gap
    between the two curves at one version. None while nobody has judged.
    """
    measured, beside = Points(), Points()
    for version in _in_order(versions):
        value = (version.evaluation or {}).get(metric.name)
        if value is None or version.config.metric != metric:
            continue
        measured.append((version.version, value))
        if version.judged is not None:
            better = version.judged.gain if metric.direction == "higher" else -version.judged.gain
            beside.append((version.version, value - better))
    if not measured:
        return None
    last, value = measured[-1]
    label = (
        f"What judges measured of {model}: {metric.name} over versions; {metric.direction} is better. "
        f"Version {last:.0f}: {words.number(value)}."
    )
    series = {"the version": measured, "deployed then, by the same judges": beside}
    return charts.lines(label, "version", {name: points for name, points in series.items() if points})


def losses(model: str, metric: DecidingMetric, versions: Sequence[admin.VersionReply]) -> Chart | None:
    """Losses over rounds: what trainers measured while they trained, and what judges measured. None where there are none."""
    series: dict[str, Points] = {}
    for version in _in_order(versions):
        if version.round is None:
            continue
        told = {f"in training: {name}": value for name, value in version.metrics.items() if "loss" in name}
        told |= {f"judged: {n}": v for n, v in (version.evaluation or {}).items() if "loss" in n and n != metric.name}
        for name, value in told.items():
            series.setdefault(name, []).append((version.round, value))
    if not series:
        return None
    shown = dict(sorted(series.items())[:5])
    lasts = ", ".join(f"{name} {words.number(points[-1][1])}" for name, points in shown.items())
    return charts.lines(f"Losses of {model} over rounds; lower is better. In the last: {lasts}.", "round", shown)


def _in_order(versions: Sequence[admin.VersionReply]) -> list[admin.VersionReply]:
    return sorted(versions, key=lambda version: version.version)
