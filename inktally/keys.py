"""Where everything lives in a store, and under which identity. No key is built anywhere else."""

from inktally.delivery import Counting, Delivery
from inktally.document import Engine, sha256_of
from inktally.tokens import RULES

INPUT = "input/"
OUTPUT = "output/"
FAILED = "failed/"
ARCHIVE = "archive/"
FROM_WEB = INPUT + "web/"
ADDRESSES, QUOTAS, DUE, UNSENT = "addresses/", "quotas/", "due/", "unsent/"
REASON = ".reason.json"
RECOGNITIONS = "recognitions/"
PAGES = "pages/"
LOCKS = "locks/"
BATCH_LOCKS = LOCKS + "batch-"
STATE = "state/"
RECEIPT = "recognise-"
BATCHES = "batches/"
COUNTS = OUTPUT + "word_counts/"
CORPUS = "corpus/"
CORPUS_PARTS = CORPUS + "parts/"
CORPUS_EXCLUDED = CORPUS + "excluded/"
CORPUS_MANIFEST = CORPUS + "manifest.json"

MAX_KEY_BYTES = 1024
LONGEST_AROUND_A_NAME = len(f"{OUTPUT}ocr_plain_text/") + len(REASON)


def received(name: str, mark: str = "") -> str:
    """Where a picture of this name is put that did not come as an upload; `mark` tells it from another like it."""
    return INPUT + _fitted(name + mark)


def from_web(upload_id: str, name: str = "") -> str:
    """Where a picture that came over the web is put; without a name, what the keys of that upload begin with."""
    return f"{FROM_WEB}{upload_id}/{name}"


def web_upload_of(key: str) -> str:
    """The id of the upload over the web that a picture came by; empty: it came in another way."""
    return key.removeprefix(FROM_WEB).partition("/")[0] if key.startswith(FROM_WEB) else ""


def web_record(upload_id: str) -> str:
    """Which delivery of an upload over the web was taken up last."""
    return f"web/{upload_id}.json"


def output(folder: str, name: str, suffix: str) -> str:
    """What is written of the picture of this name, in a folder below output/."""
    return f"{OUTPUT}{folder}/{_fitted(name)}{suffix}"


def word_counts(name: str) -> str:
    return output("word_counts", name, ".json")


def counted_document(key: str) -> str:
    """The name of the document that the counts under `key` are of; empty where they are none."""
    return key.removeprefix(COUNTS).removesuffix(".json") if key.startswith(COUNTS) and key.endswith(".json") else ""


def failed(name: str) -> str:
    return FAILED + _fitted(name)


def archived(name: str) -> str:
    return ARCHIVE + _fitted(name)


def beside(key: str, mark: str) -> str:
    """A key like `key` for another picture of that name, which `mark` tells from the first."""
    return f"{key}~{mark[:8]}"


def recognition(content: str, fingerprint: str) -> str:
    """The artefact of one recognition: `content` is the SHA-256 of the picture, `fingerprint` the engine's."""
    return f"{RECOGNITIONS}{content}/{fingerprint}.json"


def page(content: str, fingerprint: str, number: int) -> str:
    """One page of a document that is being recognised."""
    return f"{all_pages(content, fingerprint)}{number:05}.json"


def all_pages(content: str, fingerprint: str) -> str:
    """What the keys of all pages of one recognition begin with."""
    return f"{PAGES}{content}/{fingerprint}/"


def page_number(key: str) -> int:
    """The number of the page that `page` gave this key to; 0: it is no such key."""
    name = key.rpartition("/")[2].removesuffix(".json")
    return int(name) if name.isdecimal() else 0


def counts(content: str, fingerprint: str, counting: Counting) -> str:
    """The counts of one recognition under the present token rules."""
    as_before = None if counting.body_only else {"body_only"}  # counts from before there was a choice keep their keys
    how = sha256_of(RULES, counting.model_dump_json(exclude=as_before))[:16]
    return f"{all_counts(content, fingerprint)}{how}.json"


def all_counts(content: str, fingerprint: str) -> str:
    """What the keys of all counts of one recognition begin with."""
    return f"{RECOGNITIONS}{content}/{fingerprint}.counts."


def receipt(store: str, delivery: Delivery, engine: Engine) -> str:
    """The cache key that a picture's ETag and size, and the engine, give; unique over all stores."""
    return receipt_of(store, delivery.picture.etag, delivery.picture.size, engine.fingerprint)


def receipt_of(store: str, etag: str, size: int, fingerprint: str) -> str:
    return RECEIPT + sha256_of(store, etag, str(size), fingerprint)


def lock(name: str) -> str:
    return f"{LOCKS}{sha256_of(name)}"


def batch(name: str) -> str:
    """What the keys of all that a batch keeps while it is under way begin with."""
    return f"{BATCHES}{name}/"


def batch_lease(name: str) -> str:
    """What is held while a run is at work on a batch, or on a shard of one."""
    return BATCH_LOCKS + sha256_of(name)


def batch_report(name: str, file: str) -> str:
    return f"{OUTPUT}batches/{name}/{file}"


def marker(delivery_id: str, name: str) -> str:
    return f"{STATE}{delivery_id}/{name}"


def corpus_part(kind: str, bucket: str, unique: str) -> str:
    """An immutable file of the corpus; only its manifest says which files belong to it."""
    return f"{CORPUS_PARTS}{kind}/{bucket}-{unique}.parquet"


def corpus_exclusion(name: str) -> str:
    """What keeps a document out of the corpus."""
    return CORPUS_EXCLUDED + sha256_of(_fitted(name))


def corpus_report(name: str) -> str:
    return f"{CORPUS}reports/{name}"


def address(mailbox: str, name: str) -> str:
    """What is known of a mail address; the address itself stands in no key."""
    return f"{ADDRESSES}{sha256_of('address', mailbox)}/{name}"


def quota(day: str, scope: str, who: str) -> str:
    """How much somebody has asked for on a day."""
    return f"{QUOTAS}{day}/{scope}-{sha256_of(who)[:32]}"


def due(upload_id: str) -> str:
    """An upload over the web whose result is still to be mailed, after its address was confirmed."""
    return DUE + upload_id


def unsent(mailbox: str, nonce: str) -> str:
    """A link to confirm an address with that could not be mailed yet."""
    return UNSENT + sha256_of(mailbox, nonce)


def _fitted(name: str) -> str:
    """`name`, cut and made unique by a hash where the longest key around it would be too long for S3."""
    encoded = name.encode()
    if len(encoded) + LONGEST_AROUND_A_NAME <= MAX_KEY_BYTES:
        return name
    suffix = "~" + sha256_of(name)[:16]
    room = MAX_KEY_BYTES - LONGEST_AROUND_A_NAME - len(suffix)
    return encoded[:room].decode(errors="ignore") + suffix
