"""Muster's rules beside Flower's, on the same small updates: `flower_vectors.json` holds what Flower's strategies made of them
(`make flower-vectors` computes it anew, and says of which version).

Where both mean the same, the models agree to 1e-5. Where they do not, the test's docstring says what differs, and the test
takes exactly this difference away, or shows it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muster.aggregation import registry
from muster.aggregation.registry import TooFewUpdates, UnknownRule
from muster.aggregation.replay import replay
from muster.wire.admin import Rule
from muster.wire.arrays import decode, encode
from muster.wire.refs import OptimizerState, StateFile, digest
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.aggregation import reference
from tests.aggregation.making import REF, Tensors, flat, frozen, rule

ROOT = Path(__file__).parent.parent.parent
VECTORS = json.loads((ROOT / "tests/aggregation/flower_vectors.json").read_text())
ETA, BETA_1, BETA_2, TAU = 0.1, 0.9, 0.99, 1e-3
RELATIVE = 1e-5


def tensors(listed: Mapping[str, Any]) -> Tensors:
    return {name: np.array(values, np.float32) for name, values in listed.items()}


UPDATES = [[tensors(update) for update in several] for several in VECTORS["updates"]]


def flower(case: str) -> list[Tensors]:
    """Flower's model after each round."""
    return [tensors(model) for model in VECTORS["cases"][case]["models"]]


def muster(
    case: str,
    aggregator: Rule,
    optimizers: Sequence[Rule] = (),
    state: Mapping[str, bytes] | None = None,
    clients: Sequence[int] | None = None,
    **config: Any,
) -> list[Tensors]:
    """Muster's model after each round of a case; `optimizers` round by round; `state` is what the first one begins with."""
    given = VECTORS["cases"][case]
    chosen = range(len(given["examples"])) if clients is None else clients
    base = encode({name: array + np.float32(given["offset"]) for name, array in tensors(VECTORS["model"]).items()})
    found, kept = [], dict(state or {})
    for number in range(len(given["models"])):
        optimizer = optimizers[number] if optimizers else rule("sgd")
        examples = [given["examples"][client] for client in chosen]
        updates = [UPDATES[number][client] for client in chosen]
        made = frozen(updates, aggregator, examples=examples, optimizer=optimizer, **config)
        files = tuple(StateFile(letter, digest(data), len(data)) for letter, data in kept.items())
        manifest = replace(
            made.manifest,
            base=replace(REF, sha256=digest(base)),
            state=OptimizerState(optimizer.name, number, files) if files else None,
        )
        kept = replay(manifest, base, kept, made.load)
        base = kept.pop("model")
        found.append({name: array.copy() for name, array in decode(base, HEADER_LIMIT_BYTES).items()})
    return found


def zeros() -> dict[str, bytes]:
    """An optimizer's state as Flower begins it."""
    empty = encode({name: np.zeros_like(array) for name, array in tensors(VECTORS["model"]).items()})
    return {"m": empty, "v": empty}


def far(one: Sequence[Tensors], other: Sequence[Tensors]) -> float:
    """The largest relative distance of two runs, over all rounds and elements."""
    assert len(one) == len(other)
    return max(
        float((np.abs(flat(a) - flat(b)) / np.maximum(np.abs(flat(a)), np.abs(flat(b)))).max())
        for a, b in zip(one, other, strict=True)
    )


def test_the_vectors_are_of_the_flower_that_is_pinned() -> None:
    pins = (ROOT / "bench/aggregation/peers.txt").read_text().split()
    assert f"flwr=={VECTORS['flower']}" in pins


# ---- the same


@pytest.mark.parametrize(
    ("case", "aggregator", "optimizer"),
    [
        ("mean", rule("mean"), rule("sgd")),
        ("momentum", rule("mean"), rule("sgd", learning_rate=0.5, momentum=0.9)),
        ("median", rule("median"), rule("sgd")),
        ("median-even", rule("median"), rule("sgd")),
        ("trimmed", rule("trimmed-mean", trim=1), rule("sgd")),
        ("krum", rule("krum", byzantine=2), rule("sgd")),
        ("multikrum-alike", rule("multi-krum", byzantine=2, keep=3), rule("sgd")),
    ],
)
def test_where_the_definitions_agree_so_do_the_models(case: str, aggregator: Rule, optimizer: Rule) -> None:
    """FedAvg, FedAvgM, FedMedian, FedTrimmedAvg (0.2 of 7 clients is 1 on each side), Krum, and MultiKrum of clients with
    equally many examples.

    Flower works on whole models and Muster on their differences to the base; none of these rules knows the difference.
    """
    assert far(muster(case, aggregator, [optimizer] * 3), flower(case)) < RELATIVE


# ---- not the same


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("adagrad", {"learning_rate": ETA, "tau": TAU}),
        ("yogi", {"learning_rate": ETA, "beta_1": BETA_1, "beta_2": BETA_2, "tau": TAU}),
    ],
)
def test_adagrad_and_yogi_differ_only_in_where_v_begins(kind: str, parameters: dict[str, float]) -> None:
    """Flower's v begins at 0 and Muster's at τ², as in the paper (Reddi et al. 2021, Algorithm 2, asks for v ≥ τ²).

    Begun with zeros, Muster's model is Flower's.
    """
    optimizers = [rule(kind, **parameters)] * 3
    assert far(muster(kind, rule("mean"), optimizers, zeros()), flower(kind)) < RELATIVE
    assert far(muster(kind, rule("mean"), optimizers), flower(kind)) > RELATIVE


def test_adam_differs_in_where_v_begins_and_in_a_bias_correction() -> None:
    """Flower's FedAdam begins at v = 0 too, and multiplies its learning rate in server round t (from 1) by
    √(1 − β₂^(t+1)) / (1 − β₁^(t+1)): the correction of Kingma and Ba (ICLR 2015), one step ahead of theirs, which has t. The
    paper has none, and neither has Muster.

    With zeros, and with its learning rate multiplied so, Muster's model is Flower's.
    """
    corrected = [ETA * math.sqrt(1 - BETA_2 ** (t + 1)) / (1 - BETA_1 ** (t + 1)) for t in range(1, 4)]
    parameters = {"beta_1": BETA_1, "beta_2": BETA_2, "tau": TAU}
    as_flower = [rule("adam", learning_rate=rate, **parameters) for rate in corrected]
    plain = [rule("adam", learning_rate=ETA, **parameters)] * 3
    assert far(muster("adam", rule("mean"), as_flower, zeros()), flower("adam")) < RELATIVE
    assert far(muster("adam", rule("mean"), as_flower), flower("adam")) > RELATIVE, "v begins elsewhere"
    assert far(muster("adam", rule("mean"), plain, zeros()), flower("adam")) > 0.01, "no correction"


def test_flowers_adam_makes_a_float32_model_float64_and_musters_does_not() -> None:
    """Its correction is a `numpy.float64`, and numpy 2 makes the product with a float32 array float64 (NEP 50). A version of
    Muster has its base's dtypes, always.
    """
    assert {name: case["dtypes"] for name, case in VECTORS["cases"].items() if case["dtypes"] != ["float32"]} == {
        "adam": ["float64"]
    }
    [model, *_] = muster("adam", rule("mean"), [rule("adam")] * 3)
    assert {array.dtype for array in model.values()} == {np.dtype(np.float32)}


def test_a_fraction_that_trims_nobody_is_a_plain_mean_in_flower_and_is_refused_by_muster() -> None:
    """Flower trims int(β n) clients on each side: of 7 clients, β = 0.1 trims none, silently. Muster trims by count, at least
    one; who wants none asks for the mean.
    """
    assert far(muster("trimmed-none", rule("mean"), weighting="uniform"), flower("trimmed-none")) < RELATIVE
    with pytest.raises(UnknownRule, match="trim"):
        registry.find_aggregator(rule("trimmed-mean", trim=0))


def test_flowers_multikrum_believes_the_examples_of_the_chosen_and_musters_counts_each_once() -> None:
    """Both choose the same clients; Flower then weights them by the examples that they claim, Blanchard et al. (2017, §5) and
    Muster do not. Muster's weighted mean of the chosen is Flower's model.
    """
    scores = reference.krum_scores([flat(update) for update in UPDATES[0]], 2)
    chosen = sorted(range(len(scores)), key=lambda client: scores[client])[:3]
    assert far(muster("multikrum", rule("mean"), clients=chosen), flower("multikrum")) < RELATIVE
    nearest = muster("multikrum", rule("multi-krum", byzantine=2, keep=3))
    assert far(nearest, flower("multikrum")) > 0.01
    assert far(nearest, flower("multikrum-alike")) < RELATIVE


def test_flowers_krum_loses_small_differences_of_large_weights_and_musters_does_not() -> None:
    """Flower's distances are |a|² + |b|² − 2ab of whole models, in float32. With weights near 512 nothing of them is left but
    rounding: it chooses another client than its own formula does in exact numbers. Muster's distances are exact, and between
    updates, so that it does not matter where the model is. (It also leaves a client out of its own neighbours by number;
    Flower drops the first of the sorted distances, whichever that is.)
    """
    scores = reference.krum_scores([flat(update) for update in UPDATES[0]], 2)
    best = scores.index(min(scores))
    [model] = muster("krum-far-from-zero", rule("krum", byzantine=2))
    assert far([model], muster("krum-far-from-zero", rule("mean"), clients=[best])) == 0.0
    [other] = flower("krum-far-from-zero")
    taken = [n for n in range(7) if far([other], muster("krum-far-from-zero", rule("mean"), clients=[n])) == 0.0]
    assert len(taken) == 1
    assert taken != [best]


def test_krum_of_too_few_clients_is_refused_where_flower_goes_on() -> None:
    """Flower takes max(1, n − f − 2) neighbours of any n clients. Below 2f + 3 nothing is proved (Blanchard et al. 2017,
    Proposition 1), so Muster abandons such a round.
    """
    with pytest.raises(TooFewUpdates, match="needs at least 9 updates, got 7"):
        muster("krum", rule("krum", byzantine=3))
