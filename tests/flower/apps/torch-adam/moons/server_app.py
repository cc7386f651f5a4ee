"""FedAdam of the newer API over a state dict."""

from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAdam

from moons.task import network

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    net = network(int(context.run_config["hidden"]))
    result = FedAdam(eta=0.05).start(
        grid=grid,
        initial_arrays=ArrayRecord(net.state_dict()),
        train_config=ConfigRecord({"lr": float(context.run_config["lr"])}),
        num_rounds=int(context.run_config["num-server-rounds"]),
    )
    net.load_state_dict(result.arrays.to_torch_state_dict())
