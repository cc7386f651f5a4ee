"""FedAvgM of the newer API; half of the clients train in a round, and the server measures too."""

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvgM

from votes.task import load, measured

app = ServerApp()


def central(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    return MetricRecord(measured(arrays.to_numpy_ndarrays(), load(99)))


@app.main()
def main(grid: Grid, context: Context) -> None:
    strategy = FedAvgM(fraction_train=float(context.run_config["fraction-train"]), server_momentum=0.5)
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(4, np.float32), np.zeros(1, np.float32)]),
        train_config=ConfigRecord({"lr": float(context.run_config["lr"])}),
        num_rounds=int(context.run_config["num-server-rounds"]),
        evaluate_fn=central,
    )
    assert len(result.evaluate_metrics_serverapp) == int(context.run_config["num-server-rounds"]) + 1
    assert result.train_metrics_clientapp[1]["trainings"] == 1.0
