"""FedAvg over all clients; what no client holds is measured after each round, and when."""

from __future__ import annotations

import json
import time
from pathlib import Path

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from task import PlayReader, examples, first, measure

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run, and write down the curve."""
    data, curve = str(context.run_config["data"]), Path(str(context.run_config["curve"]))
    held_out, lines = examples(data, "held_out"), []

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        network = PlayReader()
        network.load_state_dict(arrays.to_torch_state_dict())
        found = measure(network, held_out)
        lines.append({"round": number, "at": time.time(), **found})
        curve.write_text(json.dumps(lines))
        return MetricRecord(found)

    everybody = {"min_available_nodes": 20, "min_train_nodes": 20, "min_evaluate_nodes": 20}
    strategy = FedAvg(fraction_train=1.0, fraction_evaluate=1.0, **everybody)
    strategy.start(
        grid=grid, initial_arrays=ArrayRecord(first(data)), num_rounds=int(context.run_config["rounds"]), evaluate_fn=evaluate
    )
