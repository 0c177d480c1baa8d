"""What a batch would do: how much there is to read, and what that would cost."""

from statistics import fmean

from pydantic import Field

from inktally.batch.looking import Looked
from inktally.document import Value

SAMPLE = 1000
"""Known recognitions from whose times the time of the others is estimated."""


class Plan(Value):
    """Pictures by what would become of them; known ones and duplicates are answered without being read."""

    pictures: int = 0
    answered_before: int = 0
    left_to_others: int = 0
    rejected: int = 0
    known: int = 0
    duplicates: int = 0
    new: int = 0
    bytes: int = Field(default=0, description="of the new ones")
    seconds: float | None = Field(default=None, description="to read them, as known ones took; null: none is known")
    dollars: float = Field(default=0.0, description="of a paid engine, at most, for a page of each new picture")
    counted_before: int = Field(default=0, description="by a run that was stopped; the next one finishes only those")


class Planner:
    """Adds up what was looked at. Of each new content it remembers a number, to tell duplicates."""

    def __init__(self, readers: int, dollars_a_page: float) -> None:
        self._readers = readers
        self._dollars_a_page = dollars_a_page
        self._counts = dict.fromkeys(("answered", "at work", "gone", "rejected", "known", "duplicate", "new"), 0)
        self._bytes = 0
        self._contents: set[int] = set()
        self._took: list[float] = []

    def add(self, looked: Looked) -> None:
        kind = self._kind(looked)
        self._counts[kind] += 1
        if kind == "new":
            self._bytes += looked.picture.size
        known = looked.needs and (looked.needs.receipt or looked.needs.hint)
        if known and len(self._took) < SAMPLE:
            self._took.append(known.seconds)

    def _kind(self, looked: Looked) -> str:
        if looked.state != "open":
            return looked.state
        if looked.needs is None:
            return "rejected"
        content = hash(looked.needs.likeness)
        if looked.needs.receipt or looked.needs.hint:
            return "known"
        if content in self._contents:
            return "duplicate"
        self._contents.add(content)
        return "new"

    def plan(self) -> Plan:
        counts, new = self._counts, self._counts["new"]
        return Plan(
            pictures=sum(counts.values()),
            answered_before=counts["answered"],
            left_to_others=counts["at work"] + counts["gone"],
            rejected=counts["rejected"],
            known=counts["known"],
            duplicates=counts["duplicate"],
            new=new,
            bytes=self._bytes,
            seconds=round(fmean(self._took) * new / self._readers, 1) if self._took else None,
            dollars=round(new * self._dollars_a_page, 2),
        )
