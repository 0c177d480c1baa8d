"""Pictures that go on together once they are recognised: one count, and one task a step for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from flows.uploads.picture import Picture
from inktally.delivery import Counting, Problem
from inktally.errors import BadResult, NotFound, PictureError
from tasks import ui, upload_steps
from tasks.upload_steps import Answer, Closing, Disposal, Rejection

MOST_SHOWN = 100  # pictures of one run that its page in the UI lists


def finish(pictures: Sequence[Picture]) -> None:
    """Count, publish, announce, dispose and answer, or reject; whatever happens, each picture has an outcome."""
    _count([picture for picture in pictures if picture.needs_a_count])
    _publish_and_announce(pictures)
    _dispose(pictures)
    _reject(pictures)
    for picture in pictures:
        picture.conclude()
    _answer(pictures)
    for picture in pictures:
        picture.end()


def _count(pictures: Iterable[Picture]) -> None:
    """One Spark job for all of them; one each when the recognition of any cannot be used."""
    for (store, counting), group in _by_store_and_counting(pictures).items():
        for picture in group:
            if not picture.is_cached:
                picture.tell("counting")
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
        picture.problem = problem
        picture.spend("count", monotonic() - begun)
    return problem


def _by_store_and_counting(pictures: Iterable[Picture]) -> dict[tuple[str, Counting], list[Picture]]:
    groups: dict[tuple[str, Counting], list[Picture]] = {}
    for picture in pictures:
        groups.setdefault((picture.upload.store, picture.counting), []).append(picture)
    return groups


def _publish_and_announce(pictures: Iterable[Picture]) -> None:
    counted = [picture for picture in pictures if picture.problem is None]
    published = _together("publish", upload_steps.publish, counted, _as_answer)
    for picture, outputs in published:
        picture.outputs = outputs
    ready = _claimed(picture for picture, _ in published)
    for picture, recipient in _together("announce", upload_steps.announce, ready, _as_answer):
        picture.recipient = recipient


def _dispose(pictures: Iterable[Picture]) -> None:
    answered = [picture for picture in pictures if picture.is_final and not picture.is_rejected]
    _together("dispose", upload_steps.dispose, _claimed(answered), _as_disposal)


def _reject(pictures: Iterable[Picture]) -> None:
    rejected = [picture for picture in pictures if isinstance(picture.problem, PictureError)]
    for picture, recipient in _together("announce", upload_steps.reject, _claimed(rejected), _as_rejection):
        picture.recipient = recipient


def _answer(pictures: Iterable[Picture]) -> None:
    final = [picture for picture in pictures if picture.is_final]
    _together("answer", upload_steps.answer, final, _as_closing)


def _claimed(pictures: Iterable[Picture]) -> list[Picture]:
    """Those that are still ours to answer."""
    pictures = list(pictures)
    for picture in pictures:
        picture.check_claim()
    return [picture for picture in pictures if picture.is_claimed]


def _together(
    step: str, task: Callable[[list[Any]], list[Any]], pictures: list[Picture], described: Callable[[Picture], Any]
) -> list[tuple[Picture, Any]]:
    """Take a step for all; those it was taken for, with the results. An error stays with the picture it befell."""
    if not pictures:
        return []
    begun = monotonic()
    try:
        results = task([described(picture) for picture in pictures])
    except Exception as error:  # noqa: BLE001 - kept as the problem of each
        results = [error for _ in pictures]
    taken = []
    for picture, result in zip(pictures, results, strict=True):
        picture.spend(step, monotonic() - begun)
        if isinstance(result, Exception):
            picture.problem = result
        else:
            taken.append((picture, result))
    return taken


def _as_answer(picture: Picture) -> Answer:
    assert picture.receipt is not None
    return Answer(picture.delivery, picture.engine, picture.receipt, picture.counting, picture.outputs_asked)


def _as_disposal(picture: Picture) -> Disposal:
    return Disposal(picture.delivery, picture.outputs, picture.after)


def _as_rejection(picture: Picture) -> Rejection:
    assert picture.problem is not None
    return Rejection(picture.delivery, Problem.of(picture.problem))


def _as_closing(picture: Picture) -> Closing:
    return Closing(picture.delivery, picture.summary)


def show(pictures: Sequence[Picture]) -> None:
    """Show the words and the outputs in Prefect's UI; what goes wrong there harms no picture."""
    shown = {picture.name: (picture.summary, picture.counts()) for picture in pictures[:MOST_SHOWN] if picture.outputs}
    if len(pictures) == 1:
        for name, (outcome, counts) in shown.items():
            ui.show_words(name, outcome, counts, return_state=True)
    elif shown:
        ui.show_pictures(shown, return_state=True)
