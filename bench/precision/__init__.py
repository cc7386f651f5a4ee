"""How often a mean comes out as if it had been computed exactly and rounded once: held against `fractions`.

Run it with `make bench-precision`. `rounds` makes rounds of every dtype and encoding, of narrow and wide spreads, with and
without a giant among their elements, of small and large weights, and aggregates them as a round does, through the gate and the
manifest; `comparing` holds a sample of elements against the exact rational mean of the very bytes that were sent. Then it times
what a second limb and a grid for each element cost, beside one limb, on the same updates.
"""
