"""Training under attack: some clients are hostile, and the same attack meets every defence that a model can be configured with.

* `data`       what the clients hold
* `fleet`      how they train: all of them side by side
* `attacks`    what the hostile ones send instead
* `defences`   what a model's configuration sets against them
* `honest`     what that costs where nobody is hostile
* `rounds`     a round without a cloud: the gate, the frozen manifest, the aggregation, as the server has them
* `training`   round after round
* `__main__`   every attack against every defence, side by side; writes `build/bench/attacks.json` and prints tables

What the server does beside the aggregation is left out: here nobody judges a candidate, and every version is the base of the
next round, however bad it is.
"""
