"""Send pictures under failed/ on their way again, once what was wrong has been mended.

As a command: python -m flows.redrive_flow failed/KEY… (also failed/prefix/); without a key it lists what is there.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from prefect import State, flow, task

from flows.commands.uploads import Item, add_common_options, conduct
from flows.ocr_flow import AS_THE_SETTINGS_SAY, ocr_flow
from inktally.delivery import Options, Upload
from inktally.errors import NotFound
from inktally.intake.redriving import failures, redrive
from inktally.keys import FAILED
from inktally.ports import Store
from inktally.text import printable
from tasks import wiring


@flow(name="redrive-flow", flow_run_name="redrive", persist_result=False)
def redrive_flow(keys: list[str], store: str = "", options: Options = AS_THE_SETTINGS_SAY) -> State[Any]:
    """Answer failed pictures anew.

    Args:
        keys: Keys under failed/, or the beginnings of keys.
        store: s3://bucket or a folder; empty: the store of the worker's settings.
        options: As for a new picture.
    """
    return ocr_flow([upload for key in keys for upload in put_back(key, store)], options, return_state=True)


@task(name="put back", task_run_name="put back {key}", persist_result=False)
def put_back(key: str, store: str) -> list[Upload]:
    """Put failed pictures under input/ again; each is a new delivery there."""
    return _put_back(key, _store(store))


def _put_back(key: str, store: Store) -> list[Upload]:
    uploads = [redrive(store, failure) for failure in list(failures(store, key)) if key.startswith(FAILED)]
    if not uploads:
        raise NotFound(f"There is no picture {key}; the command without a key lists those that failed.")
    return uploads


def _store(uri: str | None) -> Store:
    return wiring.store(uri or wiring.settings().store)


def _items(asked: argparse.Namespace) -> list[Item]:
    items = []
    for key in asked.keys:
        try:
            items += [Item(upload.key, upload=upload) for upload in _put_back(key, _store(asked.store))]
        except NotFound as error:
            items.append(Item.failed(key, error))
    return items


def _list_failures(store: Store) -> int:
    listed = 0
    for listed, failure in enumerate(failures(store), 1):  # noqa: B007 - counted as they come
        told = f"{failure.picture.modified}  {failure.problem.kind}: {failure.problem.message}"
        sys.stdout.write(f"{printable(failure.picture.key)}\n    {printable(told)}\n")
    sys.stdout.write(f"{listed} failed {'picture' if listed == 1 else 'pictures'} in {store.uri}\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.redrive_flow", description=redrive_flow.description)
    parser.add_argument(
        "keys", nargs="*", metavar="failed/KEY", help="a failed picture, or the beginning of several keys"
    )
    add_common_options(parser)
    parser.set_defaults(to="", refresh=False)
    asked = parser.parse_args(argv)
    if not asked.keys:
        return _list_failures(_store(asked.store))
    return conduct(ocr_flow, parser, asked, _items)


if __name__ == "__main__":
    sys.exit(main())
