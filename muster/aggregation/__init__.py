"""Aggregation: a pure function of (base, state, manifest), the same to the last bit on every worker, in every order.

    manifest ──plan──▶ parts ──each, once──▶ results ──merge──▶ pseudo-gradient ──optimizer──▶ model, state

* `exact`      sums that do not depend on their order;
* `manifest`   the frozen list of what will be aggregated, by which rules, with which weights;
* `plan`       the manifest cut into parts that one worker can do;
* `registry`   rules by name, and what a rule must be able to do;
* `rules`      the rules, one file a family;
* `clipping`   the norm to which updates are clipped;
* `server`     the last step: a model moved by a pseudo-gradient;
* `replay`     all of it in one go.

What may enter was decided before, by `muster.wire.gate`. Nothing here does I/O: `rounds/aggregating.py` fetches the bytes and
stores the results.
"""
