"""FedAvg over all clients; every version is measured on what no client holds."""

from __future__ import annotations

import time

import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from task import PlayReader, dataset, measure

from bench.flower_app.given import arrays, tell

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run, and write down the curve."""
    path, began = str(context.run_config["data"]), time.time()
    held_out = dataset(path, "held_out")

    def evaluate(number: int, weights: ArrayRecord) -> MetricRecord:
        network = PlayReader()
        network.load_state_dict(weights.to_torch_state_dict())
        return MetricRecord(measure(network, held_out))

    everybody = {"min_available_nodes": 20, "min_train_nodes": 20, "min_evaluate_nodes": 20}
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=1.0, **everybody)
    first = ArrayRecord({name: torch.from_numpy(array) for name, array in arrays(path, "first").items()})
    rounds = int(context.run_config["rounds"])
    result = strategy.start(grid=grid, initial_arrays=first, num_rounds=rounds, evaluate_fn=evaluate)
    tell(str(context.run_config["curve"]), began, result.evaluate_metrics_serverapp)
