"""FedAvg over all clients; every version is measured on what no client holds."""

from __future__ import annotations

import time

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from task import classifier, measure

from bench.flower_app.given import arrays, examples, tell

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run, and write down the curve."""
    path, began = str(context.run_config["data"]), time.time()
    held_out = examples(path, "held_out")

    def evaluate(number: int, weights: ArrayRecord) -> MetricRecord:
        return MetricRecord(measure(classifier(weights.to_numpy_ndarrays()), held_out))

    everybody = {"min_available_nodes": 10, "min_train_nodes": 10, "min_evaluate_nodes": 10}
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=1.0, **everybody)
    first = arrays(path, "first")
    weights = ArrayRecord([first["coef"], first["intercept"]])
    rounds = int(context.run_config["rounds"])
    result = strategy.start(grid=grid, initial_arrays=weights, num_rounds=rounds, evaluate_fn=evaluate)
    tell(str(context.run_config["curve"]), began, result.evaluate_metrics_serverapp)
