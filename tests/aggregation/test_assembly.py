"""The new checkpoint, as a stream: the same for any steps, and only of the files that the manifest names."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest

from muster.aggregation import assembly
from muster.aggregation.assembly import assemble
from muster.aggregation.replay import Loaded, gradient, replay
from muster.wire.arrays import decode, encode
from muster.wire.gate import NORM_LIMIT
from muster.wire.refs import Damaged, OptimizerState, StateFile, digest
from muster.wire.tensors import HEADER_LIMIT_BYTES, Unfit
from tests.aggregation.making import Made, frozen, rule

RNG = np.random.default_rng(2)
BASE = {
    "w": RNG.standard_normal((70, 90)).astype("f4"),
    "b": RNG.standard_normal(3),
    "n": np.array([4, 5]),
    "mask": np.ones(3, "?"),
}
UPDATES = [
    {"w": RNG.standard_normal((70, 90)).astype("f4"), "b": RNG.standard_normal(3), "n": np.array([1, -1])} for _ in range(3)
]
FILE = encode(BASE)


def of(file: bytes, **state: bytes) -> Made:
    """A round of Adam's from a base, and from a state."""
    made = frozen(UPDATES, optimizer=rule("adam"))
    files = tuple(StateFile(letter, digest(data), len(data)) for letter, data in state.items())
    base = replace(made.manifest.base, sha256=digest(file), nbytes=len(file))
    return replace(made, manifest=replace(made.manifest, base=base, state=OptimizerState("adam", 1, files) if files else None))


def test_neither_steps_nor_ranges_change_a_bit_and_booleans_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    made = of(FILE)
    first = replay(made.manifest, FILE, {}, made.load)
    again = of(first["model"], m=first["m"], v=first["v"])
    expected = replay(again.manifest, first["model"], {"m": first["m"], "v": first["v"]}, again.load)
    assert expected.keys() == {"model", "m", "v"}
    assert decode(expected["model"], HEADER_LIMIT_BYTES)["mask"].all()
    for step in (1024, 2048, 5000):
        monkeypatch.setattr(assembly, "STEP", step)
        assert replay(again.manifest, first["model"], {"m": first["m"], "v": first["v"]}, again.load) == expected


@pytest.mark.parametrize("damage", [lambda f: f[:-1] + b"x", lambda f: f[:-1], lambda f: f + b"x"])
def test_a_base_or_a_state_that_is_not_the_one_that_is_named_is_noticed(damage: object) -> None:
    made = of(FILE)
    with pytest.raises(Damaged):
        replay(made.manifest, damage(FILE), {}, made.load)  # type: ignore[operator]
    kept = replay(made.manifest, FILE, {}, made.load)
    again = of(FILE, m=kept["m"], v=kept["v"])
    with pytest.raises(Damaged):
        replay(again.manifest, FILE, {"m": kept["m"], "v": damage(kept["v"])}, again.load)  # type: ignore[operator]


def test_a_number_that_is_not_finite_is_named_with_its_place() -> None:
    base = encode({**BASE, "w": np.full((70, 90), np.finfo("f4").max)})
    made = frozen(
        [{**UPDATES[0], "w": np.eye(70, 90, dtype="f4") * np.float32(1.1e29)}], optimizer=rule("sgd", learning_rate=100.0)
    )
    manifest = replace(made.manifest, base=replace(made.manifest.base, sha256=digest(base)))
    with pytest.raises(Unfit, match="inf in 'w' at element 0"):
        replay(manifest, base, {}, made.load)


@pytest.mark.parametrize("step", [1024, 5000, 1 << 21])
def test_the_norm_of_the_new_model_is_that_of_its_float_tensors_to_six_digits(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(assembly, "STEP", step)
    made, norm = of(FILE), assembly.Norm()
    moved = gradient(made.manifest, made.schema, Loaded(made.load))
    pieces = [piece for name, piece in assemble(made.manifest, io.BytesIO(FILE), {}, moved, norm) if name == assembly.MODEL]
    model = decode(b"".join(pieces), HEADER_LIMIT_BYTES)
    expected = math.sqrt(sum(float((model[name].astype(np.float64) ** 2).sum()) for name in ("w", "b")))
    assert norm.rounded == pytest.approx(expected, rel=1e-5)
    assert norm.rounded == float(f"{norm.rounded:.6g}")


def test_a_norm_beyond_all_measure_is_the_largest_limit() -> None:
    norm = assembly.Norm()
    norm.add(np.full(3, 1e300))
    assert norm.rounded == NORM_LIMIT
