"""FedMedian of the older API, with first parameters of the server's, and a central evaluation."""

from flwr.common import Context, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedMedian

from scans.task import load, model


def central(server_round, parameters, config):
    made = model("l2")
    made.coef_, made.intercept_ = parameters
    return 0.0, {"accuracy": float(made.score(*load(0, 10)[1]))}


def server_fn(context: Context) -> ServerAppComponents:
    first = model(str(context.run_config["penalty"]))
    strategy = FedMedian(
        initial_parameters=ndarrays_to_parameters([first.coef_, first.intercept_]),
        evaluate_fn=central,
    )
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=int(context.run_config["num-server-rounds"])))


app = ServerApp(server_fn=server_fn)
