"""The attacks do what their papers say, what they send passes the gate, and each defence can be carried out."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bench.attacks.__main__ import told
from bench.attacks.attacks import (
    ATTACKS,
    FULL_SCALE,
    GIANT,
    HONEST,
    LIE,
    TARGET,
    Sight,
    against,
    distances,
    drift,
    little,
    little_z,
    longest_unnoticed,
    min_max,
    min_sum,
    scaled_up,
    spoiled,
    squares,
    triggered,
)
from bench.attacks.data import LABELS, Task, digits, synthetic
from bench.attacks.defences import defences
from bench.attacks.fleet import AttackedFleet, first_model, flat, predict, shaped
from bench.attacks.honest import configs, line
from bench.attacks.rounds import Upload, aggregated, frozen, inspect
from bench.attacks.training import Setting, Trainees, TrainingCourse, int8_file, train
from muster.aggregation.outliers import norm_bound
from muster.aggregation.registry import TooFewUpdates, find_aggregator
from muster.wire.admin import Outliers, RoundConfig
from muster.wire.arrays import Array, decode, encode, schema_of
from muster.wire.gate import NORM_LIMIT
from muster.wire.tensors import HEADER_LIMIT_BYTES, update_schema
from muster.wire.values import decode_update

CLIENTS, HOSTILE, SEED = 20, 4, 0
CONFIG = RoundConfig(goal=CLIENTS, quorum=1, max_norm=NORM_LIMIT)


@pytest.fixture(scope="module")
def task() -> Task:
    return digits(CLIENTS, SEED)


@pytest.fixture(scope="module")
def base(task: Task) -> dict[str, Array]:
    return first_model(64, task.recipe, SEED)


def uploads(task: Task, base: dict[str, Array], attack: str) -> list[Upload]:
    return Trainees(task=task, attack=ATTACKS[attack], hostile=HOSTILE, seed=SEED).uploads(base)


def rows(sent: list[Upload], base: dict[str, Array], hostile: bool) -> Array:
    decoded = [decode(upload.update, HEADER_LIMIT_BYTES) for upload in sent if upload.hostile == hostile]
    return np.array([flat({name: tensors[name] for name in base}) for tensors in decoded])


def seen(honest: int = 16, hostile: int = 4, size: int = 30, seed: int = 1) -> Sight:
    """What the hostile see of a made round: honest clients that agree somewhat."""
    rng = np.random.default_rng(seed)
    way = rng.standard_normal(size)
    noise = rng.standard_normal((honest + hostile, size))
    return Sight((way + noise)[honest:], (way + noise)[:honest], np.array([0, 10]))


# ---- the laws


def test_the_little_that_is_enough_by_hand() -> None:
    # Of 50 workers 24 are corrupt: s = 26 - 24 = 2, and 24 of 26 honest ones are further off (Baruch et al., §3.1).
    assert little_z(50, 24) == pytest.approx(1.4261, abs=1e-4)
    # Of 20 four: s = 11 - 4 = 7, 9/16.
    assert little_z(20, 4) == pytest.approx(0.1573, abs=1e-4)
    sight = seen()
    expected = sight.honest.mean(axis=0) - little_z(20, 4) * sight.honest.std(axis=0)
    np.testing.assert_allclose(little(sight), np.tile(expected, (4, 1)))


@pytest.mark.parametrize("seed", range(5))
def test_min_max_is_as_far_as_it_may_be_from_the_farthest_honest_update(seed: int) -> None:
    sight = seen(seed=seed)
    sent = min_max(sight)
    most = distances(sight.honest).max()
    assert most * 0.999 <= squares(sight.honest, sent[0]).max() <= most
    np.testing.assert_allclose(against(sight.mean) @ (sent[0] - sight.mean), np.linalg.norm(sent[0] - sight.mean))
    assert (sent == sent[0]).all()


@pytest.mark.parametrize("seed", range(5))
def test_min_sum_is_in_sum_as_far_from_the_honest_updates_as_the_most_distant_of_them(seed: int) -> None:
    sight = seen(seed=seed)
    sent = min_sum(sight)
    most = distances(sight.honest).sum(axis=1).max()
    assert most * 0.999 <= squares(sight.honest, sent[0]).sum() <= most
    assert (sent == sent[0]).all()


@pytest.mark.parametrize("strength", [0.5, 5.0])
def test_the_inner_product_with_where_the_honest_go_is_negative(strength: float) -> None:
    sight, attack = seen(), ATTACKS[f"inner product {strength:g}"]
    assert attack.law
    sent = attack.law(sight)
    np.testing.assert_allclose(sent @ sight.mean, [-strength * (sight.mean @ sight.mean)] * 4)


@pytest.mark.parametrize("liars", [1, 4, 9])
def test_a_drift_just_under_the_bound_is_not_noticed_and_a_little_more_is(liars: int) -> None:
    sight, rule = seen(honest=11, hostile=liars), Outliers()
    honest = np.linalg.norm(sight.honest, axis=1).tolist()
    found = np.linalg.norm(drift(sight), axis=1).tolist()
    bound = norm_bound(rule, [*honest, *found])
    assert bound
    assert found[0] <= bound
    longer = [found[0] * 1.01] * liars
    bound = norm_bound(rule, [*honest, *longer])
    assert bound
    assert longer[0] > bound
    assert found[0] == pytest.approx(longest_unnoticed(honest, liars, rule))
    np.testing.assert_allclose(np.linalg.norm(scaled_up(sight), axis=1), found)


def test_a_giant_is_one_element_of_each_tensor() -> None:
    sight, attack = seen(), ATTACKS["giant 2e29"]
    assert attack.law
    sent = attack.law(sight)
    assert (sent[:, [0, 10]] == GIANT).all()
    assert (sent != sight.learned).sum() == 4 * 2


def test_of_the_krum_colluders_one_drifts_and_the_other_hides_all_differences(task: Task, base: dict[str, Array]) -> None:
    sent = uploads(task, base, "Krum colluders")
    hostile = [upload.client_id for upload in sent if upload.hostile]
    assert len(hostile) == 2
    assert hostile == sorted(upload.client_id for upload in sent)[:2]
    poison, giant = rows(sent, base, hostile=True)
    assert np.abs(poison).max() < 10
    assert giant.max() == np.float32(GIANT)


def test_an_int8_file_of_zeros_decodes_to_zeros_and_a_saturated_one_to_the_largest(base: dict[str, Array]) -> None:
    schema = update_schema(schema_of(base))
    for number, norm in ((0, 0.0), (127, 127 * FULL_SCALE * sum(array.size for array in base.values()) ** 0.5)):
        file = int8_file(base, number, FULL_SCALE)
        decoded = decode_update(decode(file, HEADER_LIMIT_BYTES), base)
        assert all((array == np.float32(number * np.float64(np.float32(FULL_SCALE)))).all() for array in decoded.values())
        found = inspect(Upload(client_id="a", update=file, examples=1, hostile=True, encoding="int8"), schema, CONFIG, 1.0)
        assert found.entry.norm == pytest.approx(norm, rel=1e-6)


def test_a_backdoor_is_trained_beside_the_truth_and_its_trigger_is_a_corner(task: Task) -> None:
    holding = task.holdings[0]
    found = spoiled(holding, task, "backdoor")
    half = len(holding.labels)
    np.testing.assert_array_equal(found.inputs[:half], holding.inputs)
    np.testing.assert_array_equal(found.labels[:half], holding.labels)
    assert (found.labels[half:] == TARGET).all()
    pictures = found.inputs[half:].reshape(-1, 8, 8)
    assert (pictures[:, -2:, -2:] == 1).all()
    np.testing.assert_array_equal(pictures[:, :-2], holding.inputs.reshape(-1, 8, 8)[:, :-2])
    with pytest.raises(ValueError, match="no pictures"):
        triggered(holding.inputs, replace(task, trigger=None))


def test_flipped_labels_are_nine_minus_the_digit(task: Task) -> None:
    np.testing.assert_array_equal(spoiled(task.holdings[0], task, "labels").labels, 9 - task.holdings[0].labels)


# ---- the clients


def test_side_by_side_each_client_learns_what_it_would_alone() -> None:
    task = synthetic(6, 2)
    base = first_model(60, replace(task.recipe, hidden=5), 0)
    holdings = [holding.of(np.arange(size)) for holding, size in zip(task.holdings, (10, 40, 20, 40, 10, 20), strict=True)]
    recipe = replace(task.recipe, epochs=1, batch=40)  # one step over all, once, twice or four times: their order is no matter
    together = AttackedFleet(holdings, recipe, 0).train(base)
    for holding, found in zip(holdings, together, strict=True):
        np.testing.assert_allclose(_by_differences(base, holding.inputs, holding.labels, recipe.rate), found, atol=2e-6)


def _by_differences(base: dict[str, Array], inputs: Array, labels: Array, rate: float) -> Array:
    """One step of gradient descent over all of a client's examples, by central differences, in float64."""

    def loss(vector: Array) -> float:
        tensors = shaped(vector, base)
        values = inputs.astype(np.float64)
        for number, (bias, weight) in enumerate(list(pairwise(tensors.values()))[::2]):
            values = (np.maximum(values, 0) if number else values) @ weight.T + bias
        highest = values.max(axis=1, keepdims=True)
        logs = values - highest - np.log(np.exp(values - highest).sum(axis=1, keepdims=True))
        return float(-logs[np.arange(len(labels)), labels].mean())

    start, step = flat(base).astype(np.float64), 1e-5
    each = np.eye(start.size) * step
    return -rate * np.array([(loss(start + one) - loss(start - one)) / (2 * step) for one in each])


def test_who_holds_more_takes_more_steps(task: Task, base: dict[str, Array]) -> None:
    norms = np.linalg.norm(AttackedFleet(task.holdings, task.recipe, SEED).train(base), axis=1)
    sizes = np.array([len(holding.labels) for holding in task.holdings])
    assert np.corrcoef(norms, sizes)[0, 1] > 0.5


def test_honest_clients_learn(task: Task, base: dict[str, Array]) -> None:
    held = task.holdings[0]
    trained = shaped(flat(base) + AttackedFleet([held], replace(task.recipe, epochs=100), SEED).train(base)[0], base)
    assert (predict(trained, held.inputs) == held.labels).mean() > 0.95


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_sent_passes_the_gate_and_honest_clients_send_what_they_learned(
    task: Task, base: dict[str, Array], attack: str
) -> None:
    sent, schema = uploads(task, base, attack), update_schema(schema_of(base))
    hostile = [upload for upload in sent if upload.hostile]
    expected = 0 if attack in ("none", "they stay away") else ATTACKS[attack].most or HOSTILE
    assert len(hostile) == expected
    assert len(sent) == CLIENTS - (HOSTILE if attack == "they stay away" else 0)
    for upload in sent:
        assert np.isfinite(inspect(upload, schema, CONFIG, 1.0).entry.norm)
    assert {upload.examples == LIE for upload in hostile} <= {ATTACKS[attack].claim is not None}
    assert max(upload.examples for upload in sent if not upload.hostile) < 1000
    if hostile:
        assert max(hostile, key=lambda u: u.client_id).client_id < min(u.client_id for u in sent if not u.hostile)


def test_under_every_attack_the_same_clients_are_hostile_or_the_first_of_them(task: Task, base: dict[str, Array]) -> None:
    def examples(attack: str, hostile: bool) -> list[int]:
        return sorted(upload.examples for upload in uploads(task, base, attack) if upload.hostile == hostile)

    assert examples("sign flip", hostile=True) == examples("Min-Max", hostile=True)
    assert examples("sign flip", hostile=False) == examples("they stay away", hostile=False)
    assert HONEST is ATTACKS["none"]


# ---- the defences


def test_every_defence_can_be_carried_out_by_the_smallest_round_that_is_not_abandoned(
    task: Task, base: dict[str, Array]
) -> None:
    schema, model = update_schema(schema_of(base)), encode(base)
    sent = uploads(task, base, "none")
    for name, config in defences(CLIENTS, HOSTILE, task.recipe.clip_norm).items():
        find_aggregator(config.aggregator).check(config.quorum)
        accepted = [inspect(upload, schema, config, 1.0) for upload in sent]
        manifest = frozen(1, model, config, accepted[: config.quorum])
        assert aggregated(manifest, model, {upload.client_id: upload.update for upload in sent}) != model, name
        with pytest.raises(TooFewUpdates):
            frozen(1, model, config, accepted[: config.quorum - 1])


def test_the_defaults_are_those_of_a_configuration_that_says_nothing() -> None:
    found = defences(CLIENTS, HOSTILE, 1.0)["defaults"]
    given = {"goal", "quorum", "over_selection"}
    assert found.model_fields_set == given
    assert configs(CLIENTS)["defaults"].model_fields_set == given


def test_what_is_held_out_is_nobodys_and_every_client_has_some(task: Task) -> None:
    held = {picture.tobytes() for picture in task.held_out.inputs}
    assert all(picture.tobytes() not in held for holding in task.holdings for picture in holding.inputs)
    assert all(len(holding.labels) >= 10 for holding in task.holdings)
    assert {int(label) for label in task.held_out.labels} == set(range(LABELS))


# ---- a training


def test_under_sign_flip_the_unguarded_mean_learns_nothing_and_the_defaults_do() -> None:
    setting = Setting(clients=12, hostile=2, rounds=4, seed=0)
    configs = defences(12, 2, 0.6)
    final = {name: train(setting, "digits", "sign flip", configs[name]).accuracies[-1] for name in ("no guard", "defaults")}
    assert final["defaults"] > final["no guard"] + 0.2


def test_a_line_of_the_costs_counts_over_all_seeds() -> None:
    first = TrainingCourse(accuracies=[0.5, 0.9], honest=10, honest_quarantined=1, honest_capped=0)
    second = TrainingCourse(accuracies=[0.5, 0.7], honest=30, honest_quarantined=0, honest_capped=4)
    assert line([first, second]) == pytest.approx(
        {"accuracy": 0.8, "least": 0.7, "most": 0.9, "quarantined": 1 / 40, "capped": 4 / 40}
    )


def test_what_is_told_of_a_training_can_be_written_down() -> None:
    course = TrainingCourse()
    course.rejected["norm-overflow"] += 4
    assert json.loads(json.dumps(told(course)))["rejected"] == {"norm-overflow": 4}
