"""FedAvg over the bodies of all clients, who measure each new one at home."""

from __future__ import annotations

import time

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from bench.flower_app.given import arrays, tell

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run, and write down the curve: the mean over clients, weighted by examples, of which each tests by sixteen."""
    path, began = str(context.run_config["data"]), time.time()
    everybody = {"min_available_nodes": 40, "min_train_nodes": 40, "min_evaluate_nodes": 40}
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=1.0, **everybody)
    first = ArrayRecord({name: torch.from_numpy(array) for name, array in arrays(path, "first").items()})
    result = strategy.start(grid=grid, initial_arrays=first, num_rounds=int(context.run_config["rounds"]))
    tell(str(context.run_config["curve"]), began, result.evaluate_metrics_clientapp)
