"""Pictures that go on together once they are recognised: one count, and one task a step for all of them.

Whatever happens, each picture has an outcome in the end: an error stays with the picture it befell.
"""

from collections.abc import Iterable, Sequence
from time import monotonic

from flows.uploads.picture import Picture
from inktally.delivery import Counting
from inktally.errors import BadResult, NotFound
from inktally.steps import answering
from inktally.text import printable
from tasks import ui, upload_steps

MOST_SHOWN = 100  # pictures of one run that its page in the UI lists


def count(pictures: Iterable[Picture]) -> None:
    """One Spark job for all that need a count; one each when the recognition of any cannot be used."""
    groups: dict[tuple[str, Counting], list[Picture]] = {}
    for picture in pictures:
        if picture.needs_a_count:
            groups.setdefault((picture.upload.store, picture.counting), []).append(picture)
            if not picture.is_cached:
                picture.tell("counting")
    for (store, counting), group in groups.items():
        problem = _count_together(store, group, counting)
        if len(group) > 1 and isinstance(problem, NotFound | BadResult):
            for picture in group:
                _count_together(store, [picture], counting)


def _count_together(store: str, group: Sequence[Picture], counting: Counting) -> Exception | None:
    begun, problem = monotonic(), None
    try:
        upload_steps.count(store, [picture.receipt for picture in group if picture.receipt], counting)
    except Exception as error:  # noqa: BLE001 - kept as the problem of each
        problem = error
    for picture in group:
        picture.spend("count", monotonic() - begun)
        picture.problem = None  # of the count of all together, when this one is of each
        if problem is not None:
            picture.fail(problem)
    return problem


def publish(pictures: Iterable[Picture]) -> None:
    _together("publish", answering.publish, [picture for picture in pictures if picture.problem is None])


def announce(pictures: Iterable[Picture]) -> None:
    """Mail the counts, or what is wrong with a picture, where the picture is still ours."""
    _together("announce", answering.announce, _claimed(pictures))


def dispose(pictures: Iterable[Picture]) -> None:
    _together("dispose", answering.dispose, _claimed(pictures))


def conclude(pictures: Iterable[Picture]) -> None:
    """Make up the outcomes, write down those that are final, and let all pictures go."""
    pictures = list(pictures)
    for picture in pictures:
        picture.conclude()
    _together("answer", answering.mark, [picture for picture in pictures if picture.is_final])
    for picture in pictures:
        picture.end()


def _claimed(pictures: Iterable[Picture]) -> list[Picture]:
    """Those that are still ours to answer, of those that a further run could not change."""
    pictures = [picture for picture in pictures if picture.is_final]
    for picture in pictures:
        picture.check_claim()
    return [picture for picture in pictures if picture.is_claimed]


def _together(name: str, step: answering.Step, pictures: Sequence[Picture]) -> None:
    """Take a step for all pictures. An error stays with the picture it befell."""
    if not pictures:
        return
    begun, results = monotonic(), list[answering.Answer | Exception]()
    try:
        results = upload_steps.as_task(name, step)([picture.answer for picture in pictures if picture.answer])
    except Exception as error:  # noqa: BLE001 - kept as the problem of each
        results = [error for _ in pictures]
    for picture, result in zip(pictures, results, strict=True):
        picture.spend(name, monotonic() - begun)
        if isinstance(result, Exception):
            picture.fail(result)
        else:
            picture.answer = result


def show(pictures: Sequence[Picture]) -> None:
    """Show the words and the outputs in Prefect's UI; what goes wrong there harms no picture."""
    shown = {
        printable(picture.name): (picture.summary, picture.counts())
        for picture in pictures[:MOST_SHOWN]
        if picture.answer and picture.summary.outputs
    }
    if len(pictures) == 1:
        for name, (outcome, counts) in shown.items():
            ui.show_words(name, outcome, counts, return_state=True)
    elif shown:
        ui.show_pictures(shown, return_state=True)
