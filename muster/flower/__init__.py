"""Flower apps, unmodified (extra `[flower]`): what `muster flower run DIR` does. docs/from-flower.md is for who moves.

    DIR/pyproject.toml ──▶ ClientApp ──▶ devices of a model ────────┐ rounds in the cloud, by Muster's rules
                      └──▶ ServerApp ──▶ strategy of Flower's own ──┘
                                    └──▶ anything else ─────────────── a grid whose calls and replies are stored

* `errors`      what a person can do something about
* `loading`     an app's pyproject.toml, read and checked; its two components, imported
* `bridge`      Flower's classes, which have moved between its releases, and messages as bytes; needs flwr
* `journal`     the calls of a ServerApp and the replies to them, durable; a run that diverges from them is refused
* `clients`     a ClientApp that answers messages: in this process, or in several of their own
* `grid`        `StoredGrid`: Flower's grid over a journal and clients
* `strategies`  the table from Flower's strategies to Muster's rules
* `requests`    what a strategy is asked to do, in both of Flower's APIs, as one value
* `records`     arrays and configurations as a ClientApp expects them, and its replies read and checked
* `trainer`     `FlowerTrainer`: a ClientApp as a Muster trainer
* `fleet`       a model in a cloud, with a device for each client, until its rounds have completed
* `conducting`  stands where a strategy begins, and decides who plays it
* `running`     the use case: all of this in order

Importing this package, and the modules above that do not say otherwise, needs no flwr.
"""
