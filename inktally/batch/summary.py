"""What is told of a batch in the end, and the files that people get of it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from inktally import keys
from inktally.batch.handover import Total, totals
from inktally.batch.place import Place
from inktally.batch.rounds import Failure, Share, Tally
from inktally.document import Value
from inktally.outputs.shared.tables import write_rows
from inktally.ports import Store
from inktally.scratch import scratch_folder

TOP = 20


class Summary(Value):
    """How a batch ended. `words` are those of all its pictures, of which `distinct` are different."""

    tally: Tally = Tally()
    distinct: int = 0
    top: tuple[Total, ...] = ()
    failures: tuple[Failure, ...] = ()
    resumed: bool = Field(default=False, description="whether another run had counted them")
    seconds: dict[str, float] = Field(default={}, description="step -> seconds")
    reports: dict[str, str] = Field(default={}, description="name -> path or URI")


def write_report(store: Store, place: Place, counted: Sequence[str], share: Share, scratch: Path) -> Summary:
    """Write all words of the batch, and its failures if there are any, as CSV; what there is to tell.

    `counted` are the files with the words. Raises `NotFound` when one has gone.
    """
    words = Words(totals(store, counted, scratch))
    failures = ((failure.picture, failure.problem.kind, failure.problem.message) for failure in share.failures)
    with scratch_folder(scratch) as folder:

        def keep(name: str, headings: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
            """The address of the file: UTF-8 with a byte order mark, no cell that a spreadsheet takes for a formula."""
            with (folder / name).open("w", encoding="utf-8-sig", newline="") as file:
                write_rows(file, headings, rows)
            key = keys.batch_report(place.name, name)
            store.put(key, folder / name)
            return store.address(key)

        reports = {"words": keep("word_counts.csv", ("word", "count", "pictures"), words.rows())}
        if share.failures:
            reports["failures"] = keep("failures.csv", ("picture", "problem", "message"), failures)
    return Summary(
        tally=share.tally, distinct=words.distinct, top=tuple(words.top), failures=share.failures, reports=reports
    )


class Words:
    """The words of a batch as they pass by: how many there are, and the first ones."""

    def __init__(self, words: Iterable[Total]) -> None:
        self._words = words
        self.distinct = 0
        self.top: list[Total] = []

    def rows(self) -> Iterator[tuple[str, int, int]]:
        for word in self._words:
            self.distinct += 1
            if len(self.top) < TOP:
                self.top.append(word)
            yield word.word, word.count, word.documents
