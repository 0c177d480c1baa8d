"""AWS Glue through Prefect's block, as far as moto goes: it keeps jobs and pretends to run them, but runs no script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect_aws import AwsCredentials

from deployments.glue import main, register, run
from tests.support.servers import S3Server

SCRIPT = Path(__file__).parents[2] / "spark_jobs" / "batch_count.py"
ROLE = "arn:aws:iam::123456789012:role/glue"
PLACES = {"--tokens": "s3://b/tokens", "--pictures": "s3://b/pictures", "--output": "s3://b/out"}


@pytest.fixture
def credentials(moto: S3Server) -> Iterator[AwsCredentials]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
        patch.setenv("INKTALLY_S3_ENDPOINT", moto.endpoint)
        yield AwsCredentials()


@pytest.fixture
def glue(credentials: AwsCredentials) -> Any:
    return credentials.get_boto3_session().client("glue")


def test_the_job_is_registered_once_with_the_file_as_it_is(glue: Any, moto: S3Server) -> None:
    scripts = f"s3://{moto.new_bucket()}/jobs/"
    name = register(glue, ROLE, scripts)
    assert register(glue, ROLE, scripts) == name
    assert [job for job in glue.list_jobs()["JobNames"] if job == name] == [name]
    assert register(glue, f"{ROLE}-other", scripts) != name
    job = glue.get_job(JobName=name)["Job"]
    assert (job["Role"], job["Command"]["Name"], job["GlueVersion"]) == (ROLE, "glueetl", "5.0")
    bucket, _, key = job["Command"]["ScriptLocation"].removeprefix("s3://").partition("/")
    assert key == f"jobs/{name}.py"
    assert moto.client.get_object(Bucket=bucket, Key=key)["Body"].read() == SCRIPT.read_bytes()


def test_a_run_gets_its_arguments_and_is_waited_for(credentials: AwsCredentials, glue: Any, moto: S3Server) -> None:
    name = register(glue, ROLE, f"s3://{moto.new_bucket()}/")
    found = glue.get_job_run(JobName=name, RunId=run(credentials, name, PLACES, 0.01))["JobRun"]
    assert (found["JobRunState"], found["Arguments"]) == ("SUCCEEDED", PLACES)


def test_the_command_registers_and_runs_and_tells_what_went_wrong(
    credentials: AwsCredentials,  # noqa: ARG001 - the command finds moto by the environment
    moto: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [word for pair in PLACES.items() for word in pair]
    assert main(["--role", ROLE, "--scripts", f"s3://{moto.new_bucket()}/", *arguments]) == 0
    assert [line.partition("_")[0].partition("-")[0] for line in capsys.readouterr().out.splitlines()] == [
        "inktally",
        "jr",
    ]
    assert main(["--role", ROLE, "--scripts", "s3://there-is-none/", *arguments]) == 1
    assert capsys.readouterr().err.startswith("Glue did not count the words: ")
