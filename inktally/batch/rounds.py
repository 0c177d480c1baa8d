"""One round of a batch: what was recognised, where it was counted, and how far it has come.

A round that has been counted is written down. When its run is killed while it answers, the next run goes on with it, so
that the round's report is complete; one that is killed before loses nothing but its list of what is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from inktally import keys
from inktally.batch.handover import Entry, Handed
from inktally.batch.place import Place
from inktally.delivery import Options, Outcome, Problem
from inktally.document import Value
from inktally.ports import Store, value_or_none

COUNTED = "counted.json"
MOST_FAILURES = 1000
"""That are kept by name; the others are counted."""


class Failure(Value):
    """A picture that was not answered with counts, and why."""

    picture: str
    problem: Problem


class Tally(Value):
    """Pictures by what became of them, and the words of those that were answered."""

    answered_before: int = 0
    left_to_others: int = 0
    recognised: int = 0
    known: int = 0
    rejected: int = 0
    failed: int = 0
    answered: int = 0
    unanswered: int = 0
    words: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in Tally.model_fields})

    @property
    def handed_over(self) -> int:
        return self.recognised + self.known + self.rejected

    @property
    def taken_by_others(self) -> int:
        """Of an answered round: those that other runs were answering when their turn came."""
        return self.handed_over - self.answered - self.unanswered

    @property
    def looked_at(self) -> int:
        return self.handed_over + self.answered_before + self.left_to_others + self.failed


class Share(Value):
    """What came of one share of a batch's pictures, or of all: ready to be counted."""

    handed: Handed = Handed()
    tally: Tally = Tally()
    failures: tuple[Failure, ...] = ()

    def __add__(self, other: Share) -> Share:
        return Share(
            handed=self.handed + other.handed,
            tally=self.tally + other.tally,
            failures=few([*self.failures, *other.failures]),
        )


class Round(Value):
    """Everything that a run needs to answer what another has counted. `totals`: the files with the words of all."""

    attempt: str
    options: Options
    share: Share
    totals: tuple[str, ...] = ()

    def counted(self, place: Place) -> str:
        """What the keys of its counts begin with."""
        return f"{attempt_prefix(place, self.attempt)}counted/"


def tallied(store: Store, documents: Sequence[Sequence[Entry]], results: Sequence[list[Outcome] | Exception]) -> Share:
    """What became of documents: of each the outcomes of its pictures, or the error that befell it."""
    failures: list[Failure] = []
    tally = Tally()
    for entries, result in zip(documents, results, strict=True):
        if isinstance(result, Exception):
            problem = Problem.of(result)
            failures += [
                Failure(picture=store.address(entry.delivery.picture.key), problem=problem) for entry in entries
            ]
            tally += Tally(unanswered=len(entries))
        else:
            failures += [Failure(picture=outcome.upload, problem=outcome.error) for outcome in result if outcome.error]
            tally += Tally(answered=len(result), words=sum(outcome.words for outcome in result))
    return Share(tally=tally, failures=few(failures))


def few(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    return tuple(failures[:MOST_FAILURES])


def attempt_prefix(place: Place, attempt: str) -> str:
    return f"{keys.batch(place.name)}{attempt}/"


def counted_round(store: Store, place: Place) -> Round | None:
    """The round that was counted and not answered to its end; None when there is none."""
    return value_or_none(store, keys.batch(place.name) + COUNTED, Round)


def keep(store: Store, place: Place, counted: Round) -> None:
    store.put(keys.batch(place.name) + COUNTED, counted.model_dump_json().encode())


def clear(store: Store, place: Place) -> None:
    """Remove all that rounds have left behind. The one who does it is the only one at work on the place.

    What is written of a counted round goes first: nobody must go on with one whose files have gone.
    """
    left = [found.key for found in store.list(keys.batch(place.name))]
    for key in [keys.batch(place.name) + COUNTED, *left]:
        store.remove(key)
