"""The attacks do what they say, what they send passes the gate, and the table's main claim holds in a small one too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.attacks.clients import ATTACKS, LIE, Upload, crew, flipped
from bench.attacks.defences import defences
from bench.attacks.rounds import inspect, next_version
from bench.attacks.training import Setting, train
from examples.digits.data import Digits, digits
from examples.digits.model import HYPERPARAMETERS, network
from muster.aggregation.registry import TooFewUpdates, find_aggregator
from muster.device.torch import checkpoint, weights
from muster.wire.arrays import Array, decode, encode, schema_of
from muster.wire.tensors import HEADER_LIMIT_BYTES, update_schema

CLIENTS, HOSTILE, SEED = 20, 4, 0
BASE = weights(network(SEED))
ONE_EPOCH = {**HYPERPARAMETERS, "epochs": 1}


@pytest.fixture(scope="module")
def data() -> Digits:
    return digits(CLIENTS, SEED)


def uploads(data: Digits, attack: str) -> list[Upload]:
    torch.set_num_threads(1)
    return [client.take_part(BASE, ONE_EPOCH) for client in crew(data, ATTACKS[attack], HOSTILE, SEED)]


def changed(upload: Upload) -> dict[str, Array]:
    return decode(upload.update, HEADER_LIMIT_BYTES)


@pytest.fixture(scope="module")
def honest(data: Digits) -> list[Upload]:
    return uploads(data, "none")


@pytest.mark.parametrize(
    ("attack", "hostile", "sends"),
    [
        ("sign flip", 4, lambda change: -5 * change), ("times 100", 4, lambda change: 100 * change),
        ("constant", 4, lambda change: np.full_like(change, 100)), ("one liar", 1, lambda change: -5 * change),
    ],
)  # fmt: skip
def test_hostile_clients_send_what_the_attack_says_and_honest_ones_what_they_learned(
    data: Digits, honest: list[Upload], attack: str, hostile: int, sends: Any
) -> None:
    found = uploads(data, attack)
    assert sum(upload.hostile for upload in found) == hostile
    for upload, expected in zip(found, honest, strict=True):
        assert upload.examples == (LIE if upload.hostile and attack == "one liar" else expected.examples)
        for name, array in changed(expected).items():
            np.testing.assert_array_equal(changed(upload)[name], sends(array) if upload.hostile else array)


def test_flipped_labels_change_what_only_the_hostile_learn(data: Digits, honest: list[Upload]) -> None:
    for upload, expected in zip(uploads(data, "label flip"), honest, strict=True):
        assert (upload.update != expected.update) == upload.hostile
    (scans, labels), (same, wrong) = data.holdings[0].train.tensors, flipped(data.holdings[0].train).tensors
    assert torch.equal(same, scans)
    assert torch.equal(wrong, 9 - labels)


def test_under_every_attack_the_same_clients_are_hostile(data: Digits) -> None:
    groups = {name: {u.client_id for u in uploads(data, name) if u.hostile} for name in ("sign flip", "label flip", "one liar")}
    assert groups["sign flip"] == groups["label flip"] > groups["one liar"]
    away = {client.client_id for client in crew(data, ATTACKS["they stay away"], HOSTILE, SEED)}
    assert len(away) == CLIENTS - HOSTILE
    assert not away & groups["sign flip"]


def test_the_gate_takes_every_attack(data: Digits) -> None:
    schema = update_schema(schema_of(BASE))
    for attack in ATTACKS:
        for upload in uploads(data, attack):
            assert inspect(upload, schema).entry.norm > 0


def test_every_defence_can_be_carried_out_by_the_smallest_round_that_is_not_abandoned(honest: list[Upload]) -> None:
    schema = update_schema(schema_of(BASE))
    accepted = [inspect(upload, schema) for upload in honest]
    for name, config in defences(CLIENTS, HOSTILE).items():
        find_aggregator(config.aggregator).check(config.quorum)
        assert next_version(1, encode(BASE), config, accepted[: config.quorum]) != checkpoint(network(SEED)), name
        with pytest.raises(TooFewUpdates):
            next_version(1, encode(BASE), config, accepted[: config.quorum - 1])


def test_under_sign_flip_the_unguarded_mean_learns_nothing_and_the_trimmed_mean_and_the_median_learn() -> None:
    setting = Setting(clients=8, hostile=2, rounds=2, seed=0)
    final = {name: train(setting, "sign flip", name).accuracies[-1] for name in ("mean", "trimmed mean", "median")}
    assert final["mean"] < 0.2, "ten digits, so a guess is right in one of ten"
    assert min(final["trimmed mean"], final["median"]) > 0.5
