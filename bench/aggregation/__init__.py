"""Aggregation, beside Flower and NVFLARE: the same updates, one process at a time, each in an environment of its own.

* `data`       the updates that all of them get (numpy alone)
* `timing`     several runs of one thing, and the report that a contestant prints (no other library)
* `muster_side`, `flower_side`, `nvflare_side`   one contestant each, a script for its own interpreter
* `loopback`, `moto_store`, `store`   object stores in processes of their own, and a client of them
* `end_to_end`, `two_workers`   from store to store, and shared out
* `memory`     Muster's peak memory, streaming
* `flower_vectors`   what Flower's strategies make of a few small updates: no contest, but vectors for the tests
* `__main__`   makes the environments, runs everything, writes `build/bench/aggregation.json` and a table
"""
