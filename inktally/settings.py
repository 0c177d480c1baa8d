"""The settings of Inktally, and the only reader of its environment. Read once, then passed on."""

import json
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from inktally.delivery import After
from inktally.document import TextLayer, accepted_by
from inktally.errors import BadSettings
from inktally.languages import by_prefix, split_names
from inktally.outputs import NAMES, chosen

USUAL_OUTPUTS = "plain_text,coordinates_text,coordinates_json,word_counts"
SITE_URL = r"^(https?://[^/?#\s]+/?)?$"  # without a path: the page's own links begin with /
PAGES_PER_LIMIT = 10  # pages for which a document may take as much longer as one page may take
SHORTEST_GROUPED = 10_000  # shorter numbers, ports among them, are shown as they are


class Settings(BaseSettings):
    """Each setting is read from the environment (INKTALLY_ and its name in capitals) or from a file .env."""

    model_config = SettingsConfigDict(env_prefix="INKTALLY_", env_file=".env", extra="ignore", frozen=True)

    store: str = Field("inktally-store", description="Where pictures and results live: a folder, or s3://bucket")
    s3_endpoint: str = Field(
        "", description="Endpoint of an S3 store that is not AWS, for example http://127.0.0.1:7480"
    )
    s3_region: str = Field("", description="Region of the S3 store; empty: as boto3 finds it")
    umask: str = Field(
        "077",
        pattern=r"^[0-7]{3}$",
        description="What others may not do with files and folders of a folder store and of mails (octal, as umask has "
        "it): 077 nothing, 027 the group may read, 022 everybody",
    )
    archive_class: str = Field("STANDARD_IA", description="S3 storage class of archived pictures")
    trust_etag: Literal["", "md5"] = Field(
        "",
        description="md5: pictures with one ETag are the same, though two with one MD5 can be made; for buckets to "
        "which only you write. Empty: where the store tells no SHA-256, bytes are fetched and hashed",
    )
    result_storage: str = Field(
        "", description="Block of Prefect's result storage, for example s3-bucket/inktally; empty: a local folder"
    )

    engine: str = Field("tesseract", description="Recognition engine; auto: several, the next where one reads badly")
    auto_engines: str = Field("tesseract,rapidocr", description="Engines of auto, the first one first")
    auto_quality: float = Field(
        0.97, ge=0, le=1, description="Pages whose estimated quality is lower are read by the next engine of auto too"
    )
    imaging: bool = Field(
        True, description="Pages are turned, levelled, cleaned and split into sections before they are read"
    )
    text_layer: TextLayer = Field(
        "check",
        description="A PDF's text counts as far as its pages show it (check), as it is (trust), or not at all (ignore)",
    )
    language: Annotated[str, accepted_by(lambda names: "+".join(split_names(names)))] = Field(
        "eng", description="Languages of the text, as Tesseract names them, joined by +; auto: as each page shows"
    )
    language_by_prefix: Annotated[str, accepted_by(lambda rules: by_prefix(rules, "") or rules)] = Field(
        "", description="Languages by the beginnings of keys, for example input/de/=deu,input/old/=frk"
    )
    tesseract: str = Field(
        "", description="A tesseract command to read with; empty: the library, with the models of the installed command"
    )
    textract_region: str = Field("", description="Region of Textract; empty: as boto3 finds it")
    textract_endpoint: str = Field("", description="Endpoint of Textract; empty: AWS's own")
    textract_price: float = Field(0.0015, ge=0, description="What Textract costs (US dollars a page)")
    paid_pages: int = Field(20, ge=0, description="Pages of one picture that a paid engine may read")
    paid_pages_per_day: int = Field(
        1000, ge=0, description="Pages that paid engines may read on this machine in a day (of UTC)"
    )
    min_confidence: float = Field(
        0.0, ge=0, le=100, description="Words below this confidence (0 to 100) are not counted"
    )
    body_only: bool = Field(False, description="Headers, footers and page numbers are not counted")
    outputs: Annotated[str, accepted_by(lambda names: ",".join(chosen(names)))] = Field(
        USUAL_OUTPUTS,
        description="What is written of a picture, separated by commas; also: "
        + ", ".join(name for name in NAMES if name not in USUAL_OUTPUTS.split(",")),
    )
    max_bytes: int = Field(50_000_000, gt=0, description="Larger files are refused (bytes)")
    max_pixels: int = Field(100_000_000, gt=0, description="Pages with more pixels are refused")
    max_pages: int = Field(1000, gt=0, description="Pictures with more pages are refused")
    max_page_words: int = Field(
        30_000,
        gt=0,
        description="Pictures with more words on one page, or ten times as many characters, are refused",
    )
    max_words: int = Field(200_000, gt=0, description="Pictures with more words on all their pages are refused")
    recognition_seconds: float = Field(
        300.0,
        gt=0,
        description="Recognition of one page is stopped after this time; of a document when its pages so far have "
        "taken this and a tenth of it for each of them",
    )
    recognition_memory: int = Field(
        1200, gt=0, description="Recognition of one page is stopped when it takes more memory (MB)"
    )
    max_attempts: int = Field(
        5, gt=0, description="A picture over which so many runs have failed is set aside, and its uploader notified"
    )
    recognition_workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        gt=0,
        description="Pages recognised at once on this machine; default and most: its cores",
    )

    sandbox: str = Field(
        "", description="Socket of children that all runs share, which the warm worker sets; empty: a run has its own"
    )

    confinement: Literal["available", "strict"] = Field(
        "available",
        description="strict: no picture is opened unless this machine can confine those who open it wholly "
        "(docs/security.md)",
    )
    spark_remote: str = Field(
        "", description="Spark Connect server, for example sc://127.0.0.1:15002; empty: in-process"
    )
    spark_master: str = Field(
        "",
        description="Cluster that has the executors of the in-process Spark, for example spark://host:7077",
    )
    spark_memory: str = Field("1g", description="Memory of the in-process Spark")
    count_seconds: float = Field(900.0, gt=0, description="A count of words is stopped after this time")
    group_seconds: float = Field(
        2.0, ge=0, description="How long a recognised picture waits for others to be counted with"
    )

    notifier: str = Field("folder", description="How mail is sent: folder, smtp or ses")
    mail_from: str = Field("Inktally <inktally@localhost>", description="Sender of the mails")
    mail_folder: str = Field("inktally-mail", description="Where the notifier `folder` writes its .eml files")
    smtp_host: str = Field("127.0.0.1", description="SMTP server")
    smtp_port: int = Field(25, gt=0, le=65535, description="SMTP port")
    smtp_security: Literal["none", "starttls", "tls"] = Field("none", description="Encryption of the SMTP connection")
    smtp_user: str = Field("", description="SMTP user; empty: no log-in")
    smtp_password: SecretStr = Field(SecretStr(""), description="SMTP password")
    ses_region: str = Field("", description="Region of SES; empty: as boto3 finds it")
    ses_endpoint: str = Field("", description="Endpoint of SES; empty: AWS's own")
    deadline_seconds: float = Field(
        300.0, gt=0, description="After this time the uploader is notified that it takes longer"
    )

    after: After = Field("keep", description="What becomes of the store's copy of a processed picture")
    sweep_grace_seconds: float = Field(
        120.0, ge=0, description="How long the sweep leaves a picture that is not yet processed to its event"
    )
    sweep_again_seconds: float = Field(
        3600.0,
        gt=0,
        description="After this time the sweep starts another run for a picture that is still not processed",
    )
    hosts: str = Field(
        "",
        description="Host names under which others reach the page, the API, the receiver and the inbox, separated by "
        "commas; INKTALLY_SITE_URL's, localhost and addresses in figures are always known",
    )
    connections: int = Field(1000, gt=0, description="Connections that each server of the web has at once")
    connections_per_client: int = Field(
        100, gt=0, description="Connections of one client; with INKTALLY_SITE_BEHIND_PROXY the page has no such limit"
    )
    web_host: str = Field("127.0.0.1", description="Address that the receiver of bucket events listens on")
    web_port: int = Field(8080, gt=0, le=65535, description="Port that it listens on")
    hook_secret: SecretStr = Field(
        SecretStr(""), description="Secret that senders of events show; empty: only SNS, and this machine itself"
    )
    sns_topics: str = Field("", description="ARNs of the SNS topics whose messages are taken, separated by commas")
    hook_window_seconds: float = Field(
        0.2, ge=0, description="Uploads announced within this time of each other are processed by one run"
    )
    dead_letters: Path = Field(
        Path("inktally-dead-letters"), description="Folder for messages to the receiver that cannot be read"
    )
    inbox_password: SecretStr = Field(
        SecretStr(""), description="What python -m web.inbox asks for; empty: made once in INKTALLY_CACHE"
    )
    queue_url: str = Field("", description="SQS queue that python -m web.queue takes events from")
    queue_port: int = Field(
        8081, gt=0, le=65535, description="Port of python -m web.queue for its health and metrics, on the same address"
    )
    site_host: str = Field("127.0.0.1", description="Address that the upload page listens on")
    site_port: int = Field(8082, gt=0, le=65535, description="Port that it listens on")
    site_url: str = Field(
        "",
        pattern=SITE_URL,
        description="The page's address, as its mails name it, without a path; empty: http://host:port",
    )
    site_secret: SecretStr = Field(
        SecretStr(""), description="Signs the page's links (32 characters or more); empty: made once in INKTALLY_CACHE"
    )
    site_behind_proxy: bool = Field(
        False, description="The page tells visitors apart by the last X-Forwarded-For, which a proxy of yours sets"
    )
    site_languages: str = Field(
        "eng,deu,frk,fra,spa,dan,ces", description="Languages of text that the page offers, separated by commas"
    )
    site_link_days: float = Field(7.0, gt=0, description="How long links to the state and the results of uploads work")
    site_confirm_hours: float = Field(48.0, gt=0, description="How long the link works that confirms an address")
    site_uploads_per_client: int = Field(200, ge=0, description="Pictures a day that one visitor of the page may send")
    site_uploads_per_address: int = Field(
        100, ge=0, description="Pictures a day whose results go to one confirmed mail address"
    )
    site_mails_per_client: int = Field(
        10, ge=0, description="Addresses still to be confirmed that one visitor may give in a day"
    )
    site_mails_per_day: int = Field(
        1000, ge=0, description="Mails a day, to all visitors together, that ask to confirm an address; more wait"
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys of the REST API, separated by commas, each as it is or as sha256:HEX; empty: only this "
        "machine itself may ask, and where the page has a public address or a proxy, nobody",
    )
    api_origins: str = Field(
        "", description="Origins of web pages that may call the REST API (CORS), separated by commas; empty: none"
    )
    api_wait_seconds: float = Field(
        20.0, ge=0, le=300, description="How long the REST API waits for the words of a small picture"
    )
    api_uploads_per_minute: int = Field(
        120, gt=0, description="Pictures that one client of the REST API may send in a minute"
    )
    api_uploads_at_once: int = Field(
        32, gt=0, description="Pictures that the REST API receives at once; more wait for some seconds"
    )
    link_seconds: float = Field(
        20.0, ge=0, description="A picture by link must arrive in this time; 0: none is accepted"
    )
    lease_seconds: float = Field(30.0, gt=0, description="A claim or lock not renewed for this time may be taken over")
    scratch: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()),
        description="Where temporary folders are made; Spark must see it too",
    )
    cache: Path = Field(
        default_factory=lambda: Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inktally",
        description="Folder for what may be lost: the version of Tesseract, and cached results of pictures in S3",
    )
    class_data: Path = Field(
        default_factory=lambda: Path(sys.prefix) / "share" / "inktally",
        description="Folder of the JVM's class-data archive, which makes Spark start faster",
    )

    @property
    def mask(self) -> int:
        """`umask` as a number."""
        return int(self.umask, 8)

    def seconds_for(self, pages: int) -> float:
        """The limit of time for so many pages of a document together."""
        return self.recognition_seconds * (1 + pages / PAGES_PER_LIMIT)

    def without_secrets(self) -> str:
        """As JSON, for a process that must not know the secrets; `restored` makes settings of it again."""
        secrets = {name for name, field in type(self).model_fields.items() if field.annotation is SecretStr}
        return self.model_dump_json(exclude=secrets)


@lru_cache(maxsize=4)
def restored(values: str) -> Settings:
    """What `without_secrets` gave; neither the environment's file nor a secret is looked at.

    A child reads many pages under the same settings, and to check them takes 5 ms.
    """
    return Settings(_env_file=None, **json.loads(values))  # type: ignore[call-arg]  # pydantic-settings takes it


def read_settings(**overrides: object) -> Settings:
    """Settings from the environment; `overrides` that are not None win. Raises `BadSettings`."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = "; ".join(
            f"INKTALLY_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors()
        )
        raise BadSettings(f"Settings that cannot work: {faults}. The README lists all settings.") from error


def settings_table() -> str:
    """All settings as a table in Markdown, as the README shows it."""
    rows = ["| Setting | Default | Meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `INKTALLY_{name.upper()}` | {_shown_default(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _shown_default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default in ("", SecretStr("")):
        return ""
    grouped = isinstance(field.default, int) and field.default >= SHORTEST_GROUPED
    value = f"{field.default:,}".replace(",", " ") if grouped else f"{field.default}"
    return f"`{value}`".replace(".0`", "`")


if __name__ == "__main__":
    sys.stdout.write(settings_table())
