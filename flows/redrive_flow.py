"""Send pictures under failed/ on their way again, once what was wrong has been mended.

As a command: python -m flows.redrive_flow failed/KEY… (also failed/prefix/); without a key it lists what is there.
"""

import sys
from typing import Any

from prefect import State, flow, task

from flows.ocr_flow import AS_THE_SETTINGS_SAY, ocr_flow
from inktally.delivery import Options, Upload
from inktally.intake import redriving
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
    return redriving.put_back(wiring.store(store or wiring.settings().store), key)


if __name__ == "__main__":
    from flows.commands.redrive import main

    sys.exit(main(ocr_flow))
