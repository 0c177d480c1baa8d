"""Pictures in a bucket of a real S3 server, named on the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.support.machine import Machine, draw, ended
from tests.support.servers import S3Server

ANNA = "anna@example.org"
NAME = "caf\N{LATIN SMALL LETTER E WITH ACUTE} 100% + 1.png"


@dataclass
class Bucket:
    """A bucket, and a machine that knows its server."""

    server: S3Server
    name: str
    machine: Machine

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"

    def upload(self, key: str, text: str, **metadata: str) -> None:
        content = draw(self.machine.folder / "drawn.png", text).read_bytes()
        self.server.client.put_object(Bucket=self.name, Key=key, Body=content, Metadata=metadata)

    def upload_in_parts(self, key: str, text: str) -> None:
        """As tools do with large files; the ETag is then no MD5 of the bytes."""
        client, where = self.server.client, {"Bucket": self.name, "Key": key}
        content = draw(self.machine.folder / "drawn.png", text).read_bytes()
        begun = client.create_multipart_upload(**where)["UploadId"]
        part = client.upload_part(**where, UploadId=begun, PartNumber=1, Body=content)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**where, UploadId=begun, MultipartUpload=parts)

    def read(self, key: str) -> bytes:
        return self.server.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def words(self, name: str) -> dict[str, int]:
        document = json.loads(self.read(f"output/word_counts/{name}.json"))
        return {entry["word"]: entry["count"] for entry in document["words"]}

    def listed(self, prefix: str = "") -> list[str]:
        listed = self.server.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> Bucket:
    machine: Machine = request.getfixturevalue("connected")  # after the server, whose credentials it inherits
    machine.environment["INKTALLY_S3_ENDPOINT"] = s3.endpoint
    return Bucket(s3, s3.new_bucket(), machine)


def test_a_picture_in_a_bucket_is_answered_there_and_to_its_own_uploader(bucket: Bucket) -> None:
    del bucket.machine.environment["INKTALLY_STORE"]
    bucket.upload(f"input/{NAME}", "words in a bucket", email=ANNA, language="eng")
    first = bucket.machine.run(f"{bucket.uri}/input/{NAME}", "--json").only
    assert (first["error"], first["notified"], first["upload"]) == (None, ANNA, f"{bucket.uri}/input/{NAME}")
    assert first["outputs"]["word_counts"] == f"{bucket.uri}/output/word_counts/{NAME}.json"
    assert bucket.words(NAME) == {"words": 1, "in": 1, "a": 1, "bucket": 1}
    assert f"input/{NAME}" in bucket.listed()
    assert [mail["To"] for mail in bucket.machine.mails()] == [ANNA]

    bucket.upload_in_parts("input/parts.png", "words in a bucket")
    parts = bucket.machine.run(f"{bucket.uri}/input/parts.png", "--after", "archive", "--json").only
    assert (parts["error"], parts["cached"], "-" in parts["etag"]) == (None, True, True)
    assert bucket.words("parts.png") == bucket.words(NAME)
    assert bucket.machine.recognitions() == 1
    assert "archive/parts.png" in bucket.listed()
    assert not any(key.startswith(("locks/", "failed/")) for key in bucket.listed())


def test_pictures_below_a_prefix_are_fetched_into_the_store_that_is_chosen(bucket: Bucket) -> None:
    bucket.upload("scans/a.png", "same words", email=ANNA)
    bucket.upload("scans/b/a.png", "same words")
    bucket.upload("scans/notes.txt", "same words")
    local = draw(bucket.machine.folder / "local" / "scans" / "a.png", "other words").parents[1]
    run = bucket.machine.run(f"{bucket.uri}/scans/", local, "--json")
    below = bucket.machine.store / "input"
    uploads = [f"{bucket.name}/scans/a.png", "scans/b/a.png", "local/scans/a.png"]
    assert (run.status, [each["upload"] for each in run.objects]) == (0, [f"{below}/{name}" for name in uploads])
    assert [each["notified"] for each in run.objects] == [ANNA, None, None]
    assert sorted(bucket.listed()) == ["scans/a.png", "scans/b/a.png", "scans/notes.txt"]
    assert bucket.machine.recognitions() == 2


def test_recognitions_can_be_remembered_in_a_block_of_prefect_aws(bucket: Bucket) -> None:
    from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

    machine = bucket.machine
    with temporary_settings({PREFECT_API_URL: machine.environment["PREFECT_API_URL"]}):
        credentials = AwsCredentials(
            aws_access_key_id=machine.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=machine.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=machine.environment["AWS_DEFAULT_REGION"],
            aws_client_parameters=AwsClientParameters(endpoint_url=bucket.server.endpoint),
        )
        S3Bucket(bucket_name=bucket.name, bucket_folder="results", credentials=credentials).save("remembered")
    page = draw(machine.folder / "page.png", "remembered words")
    first, second = (machine.run(page, "--json", INKTALLY_RESULT_STORAGE="s3-bucket/remembered").only for _ in range(2))
    assert [(each["error"], each["cached"]) for each in (first, second)] == [(None, False), (None, True)]
    assert machine.recognitions() == 1
    (record,) = bucket.listed("results/keys/")
    assert json.loads(bucket.read(record))["serializer"]["type"] == "json"
    assert record.replace("keys/", "") in bucket.listed("results/")
    assert not (machine.store / ".inktally" / "results").exists()


def test_wrong_credentials_and_a_server_that_is_down_are_said(bucket: Bucket) -> None:
    bucket.upload("input/a.png", "words")
    picture = f"{bucket.uri}/input/a.png"
    wrong = bucket.machine.start(picture, "--json", AWS_SECRET_ACCESS_KEY="wrong")
    down = bucket.machine.start(picture, "--json", INKTALLY_S3_ENDPOINT="http://127.0.0.1:9")
    absent = bucket.machine.start(f"{bucket.uri}-not/a.png", "--json")
    expected = [(down, "StoreDown"), (absent, "BadSettings")]
    if bucket.server.name == "ceph":  # moto checks no credentials
        expected.append((wrong, "AccessDenied"))
    for process, kind in expected:
        run = ended(process)
        assert (run.status, run.only["error"]["kind"], "Traceback" in run.stderr) == (1, kind, False)
