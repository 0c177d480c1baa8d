"""The steps of the corpus as Prefect tasks; what they do stands in inktally/corpus/."""

from base64 import b64encode

from prefect import task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from inktally.corpus import reconciling, report as corpus_report
from inktally.corpus.figures import By
from inktally.corpus.plot import growth_svg
from inktally.corpus.reconciling import Changes
from inktally.corpus.report import CorpusReport
from tasks import wiring
from tasks.retrying import RETRIES
from tasks.ui import markdown

TOP = 20  # words that are reported


@task(name="compare", persist_result=False, **RETRIES)
def compare(store: str, *, recount: bool) -> Changes:
    """Bring the corpus to what stands in the store."""
    return reconciling.reconcile(wiring.store(store), wiring.settings(), recount=recount)


@task(name="report", persist_result=False, **RETRIES)
def report(store: str, *, top: int, by: By | None, document: str) -> CorpusReport:
    """Look at the corpus, and write its table and its curve to the store."""
    return corpus_report.report(wiring.store(store), wiring.settings(), top=top, by=by, document=document)


@task(name="show", persist_result=False)
def show(told: CorpusReport) -> None:
    """The corpus in Prefect's UI: top words, groups, what marks a document, and the curve."""
    sizes = f"{told.documents:,} documents, {told.tokens:,} words, {told.distinct:,} distinct"
    words = [entry.model_dump() | {"word": markdown(entry.word)} for entry in told.words]
    create_table_artifact(words, key="corpus-words", description=f"Top words of {sizes}")
    if told.document:
        marking = [entry.model_dump() | {"word": markdown(entry.word)} for entry in told.marking]
        about = f"What marks **{markdown(told.document)}**, by TF-IDF"
        create_table_artifact(marking, key="corpus-document", description=about)
    create_markdown_artifact(_summary(told, sizes), key="corpus", description="The corpus")
    curve = "data:image/svg+xml;base64," + b64encode(growth_svg(told.growth)).decode()
    create_image_artifact(curve, key="corpus-growth", description="Growth of the vocabulary")


def _summary(told: CorpusReport, sizes: str) -> str:
    changes, law = told.changes, told.growth
    lines = [f"**{sizes}**", f"{changes.added:,} added, {changes.changed:,} changed, {changes.removed:,} removed."]
    if law.factor:
        lines.append(f"Heaps: distinct ≈ {law.factor:.3g} · words^{law.exponent:.3f}, documents by day, then by name.")
    lines += [f"- cannot be read: {markdown(name)}: {markdown(why)}" for name, why in changes.unreadable.items()]
    if told.groups:
        rows = [
            f"| {markdown(group.name) or '(none)'} | {group.documents:,} | {group.tokens:,} | {group.distinct:,} | "
            f"{', '.join(f'{markdown(entry.word)} {entry.total:,}' for entry in group.words)} |"
            for group in told.groups
        ]
        lines.append(
            "\n".join([f"| {told.by} | documents | words | distinct | most frequent |", "|---" * 5 + "|", *rows])
        )
    lines += [f"{name.capitalize()}: `{address.replace('`', '')}`" for name, address in told.files.items()]
    return "\n\n".join(lines)
