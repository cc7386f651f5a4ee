"""When a round has closed, every receipt gets its last word; when it has ended, its files are deleted and it is finalised."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import replace

from chalicelib.instants import Clock
from chalicelib.rounds.counter_store import CounterStore
from chalicelib.rounds.failure import by_reason
from chalicelib.rounds.receipt import Receipt, ReceiptState, last_word, summarise
from chalicelib.rounds.round import Round
from chalicelib.rounds.store import RoundStore
from chalicelib.storage import keys
from chalicelib.storage.blobs import Blobs

DELETED = (keys.UPDATE, keys.PART, keys.MANIFEST)
"""What lies under a round's name and is deleted at its end, as far as nothing names it."""

MOST_DELETED = 100_000
"""Objects that are deleted at once. A round may have left eight for each of 100,000 places; the next time goes on."""


class Settling:
    """The last words on receipts, and the end of a round."""

    def __init__(self, *, rounds: RoundStore, counters: CounterStore, blobs: Blobs, clock: Clock) -> None:
        self._rounds = rounds
        self._counters = counters
        self._blobs = blobs
        self._clock = clock

    def settle(self, rnd: Round, counted: Container[str]) -> None:
        """Make every receipt that is neither rejected, failed nor of a counted client late, or rejected if it is an outlier.

        `counted` are the clients in the manifest. The round no longer collects, so a receipt can change under our hands only
        once more, by an inspection that had begun before; it is read again then. What is settled depends only on the receipt
        and the bound that the round's move named, so whoever dies here is followed by who says the same.
        """
        self._counters.close(rnd, "admitted")
        for _ in self._settled(rnd, lambda receipt: receipt.client_id in counted):
            pass
        self._rounds.note_settled(rnd)

    def finalise(self, rnd: Round) -> Round | None:
        """Do what is left to do after a round has ended, and return it; None when there is more to delete than is deleted at
        once, or another actor finalised it meanwhile.

        A round that published has settled its receipts before, and its version keeps what it counted; but a check-in that had
        begun before it closed may have written another since. All that it has left in the bucket is deleted, whatever names
        it: also what was uploaded under a grant that a later one replaced, and what was never reported.
        """
        published = rnd.candidate is not None
        self._counters.close(rnd, "judges" if published else "admitted")
        receipts = list(self._settled(rnd, lambda receipt: published and receipt.state is ReceiptState.ACCEPTED))
        kept = {
            receipt.declared.key
            for receipt in receipts
            if published and rnd.config.keep_updates and receipt.state is ReceiptState.ACCEPTED and receipt.declared
        }
        if rnd.manifest_sha256 is not None:
            kept.add(keys.MANIFEST.key(round=rnd.id, sha256=rnd.manifest_sha256))
        if not self._delete_files(rnd, kept):
            return None
        judges = self._rounds.judgements(rnd.id)
        summary = replace(
            summarise(receipts, rnd.config.sites),
            judges=sum(judge.counts for judge in judges),
            judges_failed=by_reason(judge.failure for judge in judges if judge.failure),
        )
        return self._rounds.finalise(rnd, summary)

    def _settled(self, rnd: Round, stays: Callable[[Receipt], bool]) -> Iterator[Receipt]:
        """The round's receipts, after each that does not stay as it is was settled."""
        for receipt in self._rounds.receipts(rnd.id):
            last: Receipt | None = receipt
            while last and not last.state.is_final and not stays(last):
                outcome = last_word(rnd, last, self._clock())
                if self._rounds.settle(last, outcome):
                    last = last.after(outcome)
                else:
                    last = self._rounds.receipt(rnd.id, last.client_id)
            if last:
                yield last

    def _delete_files(self, rnd: Round, kept: Container[str]) -> bool:
        """Delete what the round left in the bucket, but for the `kept`; False when something is left for the next time."""
        left = MOST_DELETED
        for kind in DELETED:
            for page in self._blobs.pages(kind.folder(round=rnd.id)):
                mine = [stored.key for stored in page if stored.key not in kept]
                self._blobs.delete(mine[:left])
                left -= len(mine)
                if left < 0:
                    return False
        return True
