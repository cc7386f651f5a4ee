"""Two workers beside one, each on a core of its own as a small function has: `<runs> <workers>`. They share out the parts of
one plan, and the time runs until the last part is done.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection

from bench.aggregation import data
from bench.aggregation.timing import measure

SHAPE = "100x1M"
PARTS = 4


def work(core: int, number: int, workers: int, pipe: Connection) -> None:
    """One worker: it holds its parts' updates, as if it had read them, and sums whenever it is asked to."""
    os.sched_setaffinity(0, {core})
    from bench.aggregation.muster_side import MEAN, EncodedRound
    from muster.aggregation.plan import Limits
    from muster.aggregation.registry import find_aggregator
    from muster.aggregation.replay import Loaded, LocalParts

    updates, parameters = data.SHAPES[SHAPE]
    made = EncodedRound(updates, parameters)
    manifest = made.manifest(MEAN)
    limits = Limits(1 << 62, 1 << 62, updates // PARTS)
    stage = find_aggregator(MEAN).plan(manifest, made.schema, limits).stages[0]
    parts = LocalParts(made.schema, Loaded(lambda entry: made.files[int(entry.key)]))
    pipe.send(len(stage.parts))
    while pipe.recv():
        for part in stage.parts[number::workers]:
            stage.run(part, parts)
        pipe.send(len(stage.parts))


def main() -> None:
    """Start the workers, and measure."""
    runs, workers = int(sys.argv[1]), int(sys.argv[2])
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for number, core in zip(range(workers), sorted(os.sched_getaffinity(0)), strict=False):
        here, there = context.Pipe()
        processes.append(context.Process(target=work, args=(core, number, workers, there)))
        processes[-1].start()
        pipes.append(here)
    if len(pipes) < workers:
        raise RuntimeError(f"{workers} workers need as many cores")
    ready = [pipe.recv() for pipe in pipes]

    def run() -> list[int]:
        for pipe in pipes:
            pipe.send(True)
        return [pipe.recv() for pipe in pipes]

    if set(ready) != {PARTS}:
        raise AssertionError(ready)
    measure(f"workers:{workers}", runs, run, lambda counts: [float(count) for count in counts])
    for pipe in pipes:
        pipe.send(False)
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
