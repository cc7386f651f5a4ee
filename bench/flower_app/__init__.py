"""Three examples beside the same in Flower: the same data, parts, first weights and local training, in one run.

* `task`         which examples they are, and what both contestants are given as a file
* `contestants`  a run of either, and how long its code is
* `given`        what a Flower app takes from that file, and how it says what came of it; it needs numpy alone
* `characters`, `tabular`, `heads`  the Flower apps, in Flower's own form; they run in an environment of their own
"""
