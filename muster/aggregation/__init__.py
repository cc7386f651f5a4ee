"""Aggregation: a pure function of (base, state, manifest), the same to the last bit on every worker, in every order.

    manifest ──plan──▶ stages of parts ──each, once──▶ results ──the last are──▶ pseudo-gradient ──optimizer──▶ model, state

* `exact`      what makes sums that do not depend on their order;
* `grids`      how fine they are: taken from what the manifest says of each update;
* `sums`       such sums, and the largest exponents of updates;
* `manifest`   the frozen list of what will be aggregated, by which rules, with which weights;
* `ranges`     elements, numbered, and ranges of them;
* `reading`    how they come out of update files;
* `plan`       the manifest's work cut into parts that one worker can do;
* `columns`    the same for rules that need all updates of an element at once; `blocks`, what is gathered for them;
* `registry`   rules by name, and what a rule must be able to do;
* `rules`      the rules, one file a family; `stack`, what some of them share; `threads`, who does it;
* `adapters`   pairs of low-rank adapters among a model's tensors;
* `matrices`   products of matrices with the same bits everywhere, and `truncation`, the best approximation of low rank;
* `clipping`   the norm to which updates are clipped;
* `outliers`   the norm beyond which an update is left out;
* `claims`     the weight beyond which a claim is not believed;
* `server`     the last step: a tensor moved by a pseudo-gradient;
* `assembly`   the new checkpoint, as a stream;
* `replay`     all of it in one go.

What may enter was decided before, by `muster.wire.gate`. Nothing here does I/O: `rounds/aggregating.py` fetches the bytes and
stores the results.
"""
