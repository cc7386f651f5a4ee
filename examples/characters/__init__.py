"""Twenty devices, each with a play by Shakespeare of its own, learn which character comes next.

* `plays`      the data
* `network`    what learns
* `federated`  the app
"""
