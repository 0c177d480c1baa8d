"""Keep the word counts over all documents of a store, and report them.

As a command: python -m flows.corpus_flow [STORE] (see --help). As a deployment: corpus-flow/nightly.
"""

import sys
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.states import Completed, Failed

from inktally.corpus.figures import By
from inktally.errors import InktallyError
from inktally.keys import INPUT
from tasks import corpus_steps, wiring
from tasks.ending import ended


@flow(name="corpus-flow", flow_run_name="corpus", persist_result=False)
def corpus_flow(
    store: str = "", by: By | None = None, top: int = corpus_steps.TOP, document: str = "", *, recount: bool = False
) -> State[Any]:
    """Bring the word counts over all documents up to date, and report them.

    Args:
        store: s3://bucket or a folder; empty: the store of the worker's settings.
        by: Also report by day or by prefix (the first folder of the documents' names).
        top: How many words to report.
        document: Also report what marks this document, by TF-IDF; a name is a key below input/.
        recount: Read all documents anew, and put right what is not as they say.
    """
    try:
        opened = wiring.store(store or wiring.settings().store).uri
        changes = corpus_steps.compare(opened, recount=recount)
        told = corpus_steps.report(opened, top=top, by=by, document=document.removeprefix(INPUT))
    except InktallyError as error:
        return ended(Failed(message=str(error), data=error))
    told = told.model_copy(update={"changes": changes})
    corpus_steps.show(told, return_state=True)
    message = f"{told.documents:,} documents, {told.tokens:,} words, {told.distinct:,} distinct"
    if told.unreadable:
        get_run_logger().warning("%d documents cannot be read: %s", told.unreadable, changes.unreadable)
    return ended(Completed(message=message, data=told))


if __name__ == "__main__":
    from flows.commands.corpus import main

    sys.exit(main(corpus_flow))
