"""The server: FedAvg of the older API, with an own mean of metrics and an own configuration for each round."""

from flwr.common import Context
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg


def weighted(metrics):
    total = sum(count for count, _ in metrics)
    return {name: sum(count * values[name] for count, values in metrics) / total for name in metrics[0][1]}


def fit_config(server_round: int):
    return {"local_epochs": 1 + server_round, "server_round": server_round}


def server_fn(context: Context) -> ServerAppComponents:
    strategy = FedAvg(
        fraction_fit=1.0,
        min_available_clients=3,
        on_fit_config_fn=fit_config,
        fit_metrics_aggregation_fn=weighted,
        evaluate_metrics_aggregation_fn=weighted,
    )
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=int(context.run_config["num-server-rounds"])))


app = ServerApp(server_fn=server_fn)
