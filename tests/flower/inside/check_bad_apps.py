"""What is wrong with an app is said in a sentence that names it, at its first call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

from muster.device.trainer import TrainingContext
from muster.flower.errors import BadApp, FlowerError, RunDiverged, UnfitReply, Unmapped
from muster.flower.fleet import FleetPlace
from muster.flower.trainer import FlowerTrainer
from tests.flower.inside.playing import APPS, run_here, state, written

BASE = {"0": np.zeros((2, 3), np.float32), "1": np.zeros(3, np.float32)}
SERVER = """
@app.main()
def main(grid: Grid, context: Context) -> None:
    FedAvg({arguments}).start(grid=grid, initial_arrays=ArrayRecord([np.zeros(2, np.float32)]), num_rounds=1)
"""


def client(body: str) -> str:
    return f"\n@app.train()\ndef train(msg, context):\n    {body}\n"


def trainer_of(reply: object) -> FlowerTrainer:
    """A trainer around an app of the newer API that answers with this content, whatever it is asked."""
    app = ClientApp()

    def answer(msg: Message, context: object) -> object:
        return Message(reply, reply_to=msg) if isinstance(reply, RecordDict) else reply

    app.train()(answer)
    app.evaluate()(answer)
    return FlowerTrainer(app, partition=0, partitions=2)


def content(arrays: Sequence[object], **metrics: float) -> RecordDict:
    return RecordDict({"arrays": ArrayRecord(list(arrays)), "metrics": MetricRecord({"num-examples": 5, **metrics})})


FINE = [np.ones((2, 3), np.float32), np.ones(3, np.float32)]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (None, "client 0, train: expected the ClientApp to return a Message, got nothing"),
        ("done", "expected the ClientApp to return a Message, got str"),
        (content(FINE[:1]), "expected 2 arrays, as they were sent, got 1 (without '1')"),
        (content([*FINE, FINE[0]]), "got 3 (with '2')"),
        (content([FINE[1], FINE[0]]), "array '0': expected the shape (2, 3), got (3,)"),
        (content([FINE[0] * np.nan, FINE[1]]), "array '0' of 'arrays' in the reply holds a number that is not finite"),
        (content([FINE[0] + 1j, FINE[1]]), "array '0': expected float32, got complex64"),
        (content([FINE[0].astype(np.float64) * 1e300, FINE[1]]), "array '0' holds a number that is not finite"),
        (RecordDict({"arrays": ArrayRecord(FINE)}), "expected one MetricRecord with num-examples, got 0 of them"),
        (
            RecordDict({"arrays": ArrayRecord(FINE), "metrics": MetricRecord({"loss": 1.0})}),
            "expected one MetricRecord with num-examples, got one without it (loss)",
        ),
        (RecordDict({"metrics": MetricRecord({"num-examples": 5})}), "expected one ArrayRecord, got none"),
        (content(FINE, **{"num-examples": 0}), "expected a whole number of examples, at least 1, got 0"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_reply_that_does_not_fit_is_named(reply: object, sentence: str) -> None:
    with pytest.raises(UnfitReply) as raised:
        trainer_of(reply).train(BASE, {})
    assert sentence in str(raised.value)


def test_an_app_that_throws_is_named() -> None:
    app = ClientApp()

    @app.train()  # type: ignore[untyped-decorator]
    def train(msg: Message, context: object) -> Message:
        raise KeyError("lr")

    with pytest.raises(UnfitReply, match=r"the ClientApp failed: .*'lr'"):
        FlowerTrainer(app, partition=0, partitions=1).train(BASE, {})


def test_a_numpy_client_with_too_few_arrays_is_named() -> None:
    class Short(NumPyClient):  # type: ignore[misc]
        def fit(self, parameters, config):  # type: ignore[no-untyped-def]
            return parameters[:1], 5, {}

    app = ClientApp(client_fn=lambda context: Short().to_client())
    with pytest.raises(UnfitReply, match="expected 2 arrays, as many as were sent, got 1"):
        FlowerTrainer(app, partition=0, partitions=1).train(BASE, {})


def test_a_trainer_carries_arrays_hyperparameters_and_memory_from_round_to_round(tmp_path: Path) -> None:
    app = ClientApp()

    @app.train()  # type: ignore[untyped-decorator]
    def train(msg: Message, context: object) -> Message:
        state, config = context.state, msg.content["config"]  # type: ignore[attr-defined]
        seen = state["seen"]["times"] if "seen" in state else 0
        state["seen"] = ConfigRecord({"times": seen + 1})
        arrays = [array + config["local-lr"] for array in msg.content["arrays"].to_numpy_ndarrays()]
        metrics = {"num-examples": 7, "times": seen, "server": config["server-round"], "draw": float(np.random.random())}
        return Message(RecordDict({"a": ArrayRecord(arrays), "m": MetricRecord(metrics)}), reply_to=msg)

    found = []
    for number in (1, 2, 2):
        trainer = FlowerTrainer(app, partition=1, partitions=3, train_config={"local-lr": 0.5})
        trainer.begin(TrainingContext(round=f"toy.{number}", seed=number, folder=tmp_path))
        found.append(trainer.train(BASE, {"local_lr": 2.0}))
    assert {name: float(array.flat[0]) for name, array in found[0].weights.items()} == {"0": 2.0, "1": 2.0}
    assert found[0].weights["0"].dtype == np.float32
    assert [(one.examples, one.metrics["times"], one.metrics["server"]) for one in found] == [(7, 0, 1), (7, 1, 2), (7, 2, 2)]
    assert found[1].metrics["draw"] == found[2].metrics["draw"] != found[0].metrics["draw"]


def test_a_run_ends_with_a_sentence_at_the_first_reply_that_cannot_be_used(tmp_path: Path) -> None:
    app = written(tmp_path / "app", client=client("return None"), server=SERVER.format(arguments=""))
    with pytest.raises(UnfitReply, match=r"client \d, train: expected the ClientApp to return a Message, got nothing"):
        run_here(app, state(), clients=2)


def test_a_clientapp_that_throws_is_the_strategys_business_as_in_flower(tmp_path: Path) -> None:
    """The strategy is told of errors, has nothing to aggregate, and ends without arrays."""
    app = written(tmp_path / "app", client=client("raise RuntimeError('no data')"), server=SERVER.format(arguments=""))
    outcome = run_here(app, state(), clients=2)
    assert (outcome.calls, outcome.sha256) == (2, None)


def test_a_strategy_that_would_wait_for_ever_is_refused(tmp_path: Path) -> None:
    app = written(tmp_path / "app", client=client("return None"), server=SERVER.format(arguments="min_available_nodes=9"))
    with pytest.raises(BadApp, match="waits for min_available_nodes=9 clients, and there are 2"):
        run_here(app, state(), clients=2)


def test_what_a_known_strategy_says_and_no_rule_does_is_refused_by_name(tmp_path: Path) -> None:
    app = written(tmp_path / "app", client=client("return None"), server=SERVER.format(arguments="weighted_by_key='age'"))
    place = FleetPlace(operator=None, url="http://127.0.0.1:9", folder=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(Unmapped, match="weighted_by_key: expected 'num-examples', got 'age'"):
        run_here(app, state(), clients=2, fleet=place)


def test_a_message_to_nobody_is_refused(tmp_path: Path) -> None:
    server = "\n@app.main()\ndef main(grid, context):\n    grid.push_messages([Message(RecordDict(), 7, 'query')])\n"
    with pytest.raises(FlowerError, match="expected a message to one of the nodes 101 to 102, got 7"):
        run_here(written(tmp_path / "app", server=server), state(), clients=2)


def test_an_app_cannot_keep_a_refusal_to_itself(tmp_path: Path) -> None:
    server = "\n@app.main()\ndef main(grid, context):\n    for node in (7, 101):\n        try:\n"
    server += (
        "            grid.push_messages([Message(RecordDict(), node, 'query')])\n        except Exception:\n            pass\n"
    )
    with pytest.raises(FlowerError, match="expected a message to one of the nodes 101 to 102, got 7"):
        run_here(written(tmp_path / "app", server=server), state(), clients=2)


def test_an_app_that_says_something_else_the_second_time_is_refused(tmp_path: Path) -> None:
    """It looks at a clock that nobody seeds."""
    server = (
        "import time\n@app.main()\ndef main(grid, context):\n"
        "    said = RecordDict({'config': ConfigRecord({'now': time.time_ns()})})\n"
        "    list(grid.send_and_receive([Message(said, 101, 'query')]))\n"
    )
    query = "\n@app.query()\ndef query(msg, context):\n    return Message(RecordDict(), reply_to=msg)\n"
    app, kept = written(tmp_path / "app", client=query, server=server), state()
    run_here(app, kept, clients=2)
    with pytest.raises(RunDiverged, match="call 1 of the ServerApp: message 1 of send_and_receive, query to node 101, says"):
        run_here(app, kept, clients=2)


def test_a_component_that_is_not_there_is_named(tmp_path: Path) -> None:
    app = written(tmp_path / "app")
    text = (app / "pyproject.toml").read_text()
    (app / "pyproject.toml").write_text(text.replace("client_app:app", "client_app:application"))
    with pytest.raises(BadApp, match="has no 'application'"):
        run_here(app, state())
    (app / "pyproject.toml").write_text(text.replace("client_app:app", "server_app:app"))
    with pytest.raises(BadApp, match="expected a ClientApp, got ServerApp"):
        run_here(app, state())
    (app / "pyproject.toml").write_text(text.replace("client_app:app", "clients_app:app"))
    with pytest.raises(BadApp, match="there is no module"):
        run_here(app, state())


def test_a_key_that_does_not_exist_is_named() -> None:
    with pytest.raises(BadApp, match=r"--run-config num-rounds: .* did you mean 'num-server-rounds'"):
        run_here(APPS / "message-api", state(), "num-rounds=3")
