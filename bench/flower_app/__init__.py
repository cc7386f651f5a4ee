"""The example of characters beside the same in Flower: the same data, parts, first weights and local training, in one run.

* `app`   the Flower app, in Flower's own form; it runs in an environment of its own
* `task`  what both are given: who holds what, and the first weights
"""
