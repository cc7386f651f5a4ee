"""A client that trains and measures, as Flower's Message API has it."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from task import classifier, measure, train

from bench.flower_app.given import examples

app = ClientApp()


@app.train()
def fit(msg: Message, context: Context) -> Message:
    """Train, in another order each round, and send all weights back."""
    number = int(context.node_config["partition-id"])
    table = examples(str(context.run_config["data"]), f"train-{number}")
    seed = 1000 * int(msg.content["config"]["server-round"]) + number
    model = classifier(msg.content["arrays"].to_numpy_ndarrays(), seed)
    train(model, table)
    metrics = MetricRecord({"num-examples": len(table[1])})
    content = {"arrays": ArrayRecord([model.coef_, model.intercept_]), "metrics": metrics}
    return Message(RecordDict(content), reply_to=msg)


@app.evaluate()
def judge(msg: Message, context: Context) -> Message:
    """Measure the weights that came."""
    table = examples(str(context.run_config["data"]), f"test-{context.node_config['partition-id']}")
    model = classifier(msg.content["arrays"].to_numpy_ndarrays())
    metrics = {**measure(model, table), "num-examples": len(table[1])}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
