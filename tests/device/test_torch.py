"""The torch trainer: any module, its buffers, and the proximal term."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from muster import TorchTrainer
from muster.device.torch import checkpoint, load, weights
from muster.device.update import delta
from muster.wire.arrays import Array, decode
from muster.wire.tensors import HEADER_LIMIT_BYTES, parse_header


def data(seed: int = 0) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(60, 4, generator=generator)
    return TensorDataset(inputs, (inputs[:, 0] > 0).long())


def module() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def trainer(seed: int = 0) -> TorchTrainer:
    return TorchTrainer(module(), data(), data(1), seed=seed)


def distance(a: Mapping[str, Array], b: Mapping[str, Array]) -> float:
    return float(sum(np.square(a[name] - b[name]).sum() for name, _ in module().named_parameters()) ** 0.5)


def test_training_learns_and_says_how_well() -> None:
    made, base = trainer(), weights(module())
    before = made.evaluate(base).metrics["accuracy"]
    result = made.train(base, {"epochs": 20, "batch_size": 16, "learning_rate": 0.1, "momentum": 0.9})
    after = made.evaluate(result.weights).metrics
    assert result.examples == 60
    assert result.metrics["train_loss"] < 0.3
    assert after["accuracy"] > max(0.85, before)
    assert after["loss"] < 1.0


def test_training_is_reproducible_and_leaves_the_base_alone() -> None:
    base = weights(module())
    kept = {name: array.copy() for name, array in base.items()}
    first, second = (trainer(7).train(base, {"epochs": 2}) for _ in range(2))
    assert all((first.weights[name] == second.weights[name]).all() for name in base)
    assert all((base[name] == kept[name]).all() for name in base)


def test_the_proximal_term_keeps_a_client_near_its_base() -> None:
    base = weights(module())
    rules = {"epochs": 10, "learning_rate": 0.05}
    free = trainer().train(base, rules)
    held = trainer().train(base, {**rules, "proximal_mu": 5.0})
    assert distance(held.weights, base) < 0.7 * distance(free.weights, base)


def test_the_gradient_of_the_proximal_term_is_mu_times_the_distance() -> None:
    made = trainer()
    anchors = [torch.zeros_like(parameter) for parameter in made._module.parameters()]
    term = made._proximal(anchors, 0.5)
    assert isinstance(term, torch.Tensor)
    torch.autograd.backward(term)
    for parameter in made._module.parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, 0.5 * parameter)


def test_batch_norms_buffers_travel_and_the_counter_stays_an_integer() -> None:
    base = weights(module())
    update = decode(delta(base, trainer().train(base, {"epochs": 1, "batch_size": 20})), HEADER_LIMIT_BYTES)
    assert update["1.num_batches_tracked"].dtype == np.int64
    assert update["1.num_batches_tracked"] == 3
    assert update["1.running_mean"].dtype == np.float32
    assert np.abs(update["1.running_var"]).max() > 0


def test_a_checkpoint_is_the_whole_state_and_another_modules_is_refused() -> None:
    made = module()
    arrays = decode(checkpoint(made), HEADER_LIMIT_BYTES)
    assert arrays.keys() == made.state_dict().keys()
    specs = parse_header(checkpoint(made), HEADER_LIMIT_BYTES).specs
    assert {spec.name for spec in specs if spec.is_buffer} == {name for name, _ in made.named_buffers()} != set()
    with pytest.raises(RuntimeError):
        load(nn.Linear(4, 2), arrays)
