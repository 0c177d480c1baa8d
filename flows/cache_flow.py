"""Look after the cache of recognitions: list it, let it age, clear it.

As a command: python -m flows.cache_flow list|expire|clear (see --help). As a deployment: cache-flow/weekly.
"""

import sys
from typing import Any

from prefect import State, flow
from prefect.states import Completed

from inktally.cache.clearing import DAY_SECONDS
from inktally.cache.recognitions import Choice
from tasks.cache_steps import EXPIRE_DAYS, StoreCache


@flow(name="cache-flow", flow_run_name="expire", persist_result=False)
def cache_flow(store: str = "", days: float = EXPIRE_DAYS, engine: str = "", *, dry_run: bool = False) -> State[Any]:
    """Remove recognitions of a certain age, and what runs that died have left behind.

    Args:
        store: s3://bucket or a folder; empty: the store of the worker's settings.
        days: How old a recognition must be.
        engine: Only those by this engine, a name or a fingerprint.
        dry_run: Only tell what would be removed.
    """
    choice = Choice(age=days * DAY_SECONDS, engine=engine)
    cleared = StoreCache(store, dry_run=dry_run).expire(choice)
    return Completed(message=f"{cleared.recognitions} recognitions, {cleared.size:,} bytes", data=cleared)


if __name__ == "__main__":
    from flows.commands.cache import main

    sys.exit(main())
