"""Devices of unlike ranks train one small transformer together, through the pure aggregation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from muster import TorchTrainer
from muster.aggregation.replay import replay
from muster.training.lora import LoraLinear, SmallAdapters, adapt, pairs, truncated
from muster.wire.arrays import Array, decode, encode
from muster.wire.refs import digest
from muster.wire.tensors import HEADER_LIMIT_BYTES
from tests.aggregation import reference
from tests.aggregation.making import LIMITS, frozen, rule
from tests.training.making import place

RANK, ALPHA, WORDS, TIME = 4, 8.0, 6, 5
PATTERNS = ("query", "value", "up", "down")


class Block(nn.Module):
    """One head of attention and an MLP over a sequence of words; the class of the sequence is read off its mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WORDS, 16)
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))
        self.head = nn.Linear(16, 2)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        found = self.norms[0](self.embedding(words))
        scores = self.query(found) @ self.key(found).transpose(1, 2) / math.sqrt(16)
        found = found + torch.softmax(scores, -1) @ self.value(found)
        found = found + self.down(torch.relu(self.up(self.norms[1](found))))
        return self.head(found.mean(1))  # type: ignore[no-any-return]


def sequences(seed: int, examples: int = 120) -> TensorDataset:
    """Sequences in which word 0 comes more often than word 1, or not."""
    words = torch.randint(0, WORDS, (examples, TIME), generator=torch.Generator().manual_seed(seed))
    return TensorDataset(words, ((words == 0).sum(1) > (words == 1).sum(1)).long())


def device(number: int, own_rank: int) -> Any:
    made = Block()
    adapt(made, PATTERNS, rank=RANK, alpha=ALPHA, own_rank=own_rank)
    trainer = TorchTrainer(made, sequences(number), sequences(99), optimizer="adam", seed=number)
    return trainer if own_rank == RANK else SmallAdapters(trainer)


def delta(base: dict[str, Array], trained: Any) -> dict[str, Array]:
    assert {name: array.shape for name, array in trained.items()} == {name: array.shape for name, array in base.items()}
    return {name: trained[name] - base[name] for name in base}


def test_a_small_transformer_learns_from_devices_of_ranks_1_2_and_4() -> None:
    ranks = (1, 1, 2, 4, 4)
    devices = [device(number, own) for number, own in enumerate(ranks)]
    file = devices[-1].checkpoint()
    losses = [devices[-1].evaluate(decode(file, HEADER_LIMIT_BYTES)).metrics["loss"]]
    for _ in range(4):
        base = decode(file, HEADER_LIMIT_BYTES)
        results = [one.train(base, {"epochs": 4, "learning_rate": 0.01, "batch_size": 20}) for one in devices]
        sent = [delta(base, result.weights) for result in results]
        for update, own in zip(sent, ranks, strict=True):
            for a, b in pairs(base):
                assert not (base[b] + update[b])[:, own:].any(), "what it cannot hold is nothing"
                assert not update[a][own:].any(), "and rows that are multiplied by nothing do not make the update longer"
        made = frozen(sent, rule("lora"), examples=[result.examples for result in results], outliers={})
        assert not made.manifest.quarantined, "a smaller rank makes nobody an outlier"
        manifest = replace(made.manifest, base=replace(made.manifest.base, sha256=digest(file)))
        versions = [replay(manifest, file, {}, made.load, LIMITS[parts])["model"] for parts in (1, "most")]
        assert versions[0] == versions[1]
        model = decode(versions[0], HEADER_LIMIT_BYTES)
        for a, b in pairs(base):
            whole = np.mean([(base[b] + u[b]).astype("f8") @ (base[a] + u[a]).astype("f8") for u in sent], axis=0)
            best = reference.best_of_rank(whole, RANK)
            found = model[b].astype("f8") @ model[a].astype("f8")
            assert np.linalg.norm(found - best) <= 1e-6 * np.linalg.norm(whole)
        file = versions[0]
        losses.append(devices[-1].evaluate(model).metrics["loss"])
        for one in devices[:3]:
            assert one.evaluate(model).metrics["loss"] < losses[0], "a small device judges what it can hold of a version"
    assert losses[-1] < 0.6 * losses[0], losses


def test_the_scale_is_the_models_whatever_a_device_can_hold() -> None:
    small, large = Block(), Block()
    adapt(small, PATTERNS, rank=RANK, alpha=ALPHA, own_rank=1)
    adapt(large, PATTERNS, rank=RANK, alpha=ALPHA)
    scales = {one.scale for made in (small, large) for one in made.modules() if isinstance(one, LoraLinear)}
    assert scales == {2.0}
    rng = np.random.default_rng(0)
    layers = [made.get_submodule("up") for made in (small, large)]
    column, row = (torch.from_numpy(rng.standard_normal(shape).astype("f4")) for shape in ((32, 1), (1, 16)))
    for layer in layers:
        assert isinstance(layer, LoraLinear)
        with torch.no_grad():
            layer.B.zero_()
            layer.B[:, :1], layer.A[:1] = column, row
    inputs = torch.from_numpy(rng.standard_normal((3, 16)).astype("f4"))
    torch.testing.assert_close(layers[0](inputs), layers[1](inputs))


@pytest.mark.parametrize("own_rank", [0, 5, -1])
def test_a_rank_of_its_own_is_no_larger_than_the_models(own_rank: int) -> None:
    made = Block()
    with pytest.raises(ValueError, match=f"own_rank: expected from 1 to the model's rank, 4, got {own_rank}"):
        adapt(made, PATTERNS, rank=RANK, own_rank=own_rank)
    assert all(parameter.requires_grad for parameter in made.parameters())


def test_a_truncated_pair_is_the_best_approximation_and_first_rows_stay_where_they_are_it() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((4, 9)).astype("f4"), rng.standard_normal((7, 4)).astype("f4")
    short_a, short_b = truncated(a, b, 2)
    np.testing.assert_allclose(short_b @ short_a, reference.best_of_rank(b.astype("f8") @ a, 2), atol=1e-5)
    left, values, right = np.linalg.svd(b @ a, full_matrices=False)
    sorted_a, sorted_b = right[:4], left[:, :4] * values[:4]
    kept_a, kept_b = truncated(sorted_a, sorted_b, 2)
    assert (kept_a.tobytes(), kept_b.tobytes()) == (sorted_a[:2].tobytes(), sorted_b[:, :2].tobytes())
    first_a, nothing = truncated(a, np.zeros_like(b), 1)
    assert first_a.tobytes() == a[:1].tobytes()
    assert not nothing.any()


def test_a_small_device_knows_its_place_and_other_tensors_are_its_trainers(tmp_path: Any) -> None:
    made = Block()
    adapt(made, PATTERNS, rank=RANK, own_rank=2, rest=True)
    inner = TorchTrainer(made, sequences(0), sequences(1))
    one = SmallAdapters(inner)
    one.begin(place(tmp_path))
    large = Block()
    adapt(large, PATTERNS, rank=RANK, rest=True)
    base = decode(encode(TorchTrainer(large, sequences(0), sequences(1)).weights()), HEADER_LIMIT_BYTES)
    result = one.train(base, {"epochs": 1, "batch_size": 60})
    assert {name: array.shape for name, array in result.weights.items()} == {n: array.shape for n, array in base.items()}
    assert any(tmp_path.iterdir()) or inner._context is not None
    assert not np.array_equal(result.weights["head.bias"], base["head.bias"])
