"""Rounds: one pass collect → aggregate → evaluate → complete. Sorted by who acts.

What all actors share:

* `moves`        the phases, and what each move from one to the next carries (pure)
* `round`        what a round is (pure); `round_id` is its name
* `opening`      when the next round opens, and from where it starts (pure); `closing`: when it closes, and what it lacks
* `budget`       whether a model's month has enough left for another round
* `receipt`      a client's place in a round and what becomes of its update (pure)
* `failure`      why the work of a place was given up, and how often that was (pure)
* `judgement`    what judges measure, and what follows from it (pure)
* `manifests`    the frozen list of what is aggregated, as it lies in the bucket
* `counters`     places given and updates inspected, over a round's parts (pure); `counter_store` has their rows
* `looks`        asks that a model be reconciled, once a second at the most
* `store`        their rows; one condition a write; where every move is logged
* `reaching`     what points at a model's versions, its rounds among it

Who acts, each a room that does not know the others:

* `devices`      what devices ask for, and the worker that looks into what they send
* `phases`       what the tick and the workers do: each phase's work, and the end of a round
* `operators`    what operators ask of rounds
"""
