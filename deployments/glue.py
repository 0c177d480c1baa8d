"""Counting a batch on AWS Glue: the job's one file is put into a bucket, registered, and run through Prefect's block.

python -m deployments.glue --role ROLE --scripts s3://BUCKET/PREFIX/ --tokens URI --pictures URI --output URI
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from prefect_aws import AwsCredentials
from prefect_aws.glue_job import GlueJobBlock

from inktally import plugins
from inktally.document import sha256_of
from inktally.errors import InktallyError
from inktally.settings import read_settings

VERSION = "5.0"  # Spark 3.5 and Python 3.11
WORKER = {"WorkerType": "G.1X", "NumberOfWorkers": 2}  # 4 cores and 16 GB each; one of them is the driver
POLL_SECONDS = 10.0


def register(glue: Any, role: str, scripts: str) -> str:
    """Upload the job's file below `scripts` (s3://bucket/prefix/) and register it; the name of the job.

    The name is a digest of what the job is, so another file or role is another job, and a repeat changes nothing.
    """
    script = files("spark_jobs").joinpath("batch_count.py").read_bytes()
    name = f"inktally-batch-count-{sha256_of(script.decode(), role, scripts)[:8]}"
    bucket, _, prefix = scripts.removeprefix("s3://").partition("/")
    store = plugins.store(f"s3://{bucket}", read_settings())
    uploaded = store.put(f"{prefix}{name}.py", script)
    try:
        glue.get_job(JobName=name)
    except glue.exceptions.EntityNotFoundException:
        command = {"Name": "glueetl", "ScriptLocation": store.address(uploaded.key), "PythonVersion": "3"}
        glue.create_job(Name=name, Role=role, Command=command, GlueVersion=VERSION, **WORKER)
    return name


def run(credentials: AwsCredentials, job: str, arguments: Mapping[str, str], poll_seconds: float = POLL_SECONDS) -> str:
    """Start the job through Prefect's block and wait for its end; the run's id.

    Raises `RuntimeError`, with Glue's reason when the job has failed. In prefect-aws 0.7.12 a run that was started has
    no client, without which it cannot wait; so it gets one here.
    """
    block = GlueJobBlock(
        job_name=job, arguments=dict(arguments), aws_credentials=credentials, job_watch_poll_interval=poll_seconds
    )
    started = asyncio.run(block.trigger())
    started.client = credentials.get_boto3_session().client("glue")
    started.wait_for_completion()
    return started.job_id


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 when AWS refuses or the job fails."""
    parser = argparse.ArgumentParser(prog="python -m deployments.glue", description=__doc__)
    parser.add_argument("--role", required=True, help="IAM role that the job runs as")
    parser.add_argument("--scripts", required=True, metavar="s3://BUCKET/PREFIX/", help="where the job's file is put")
    for name in ("tokens", "pictures", "output"):
        parser.add_argument(f"--{name}", required=True, metavar="URI", help="as spark_jobs/batch_count.py has it")
    options = parser.parse_args(argv)
    credentials = AwsCredentials()
    try:
        job = register(credentials.get_boto3_session().client("glue"), options.role, options.scripts)
        sys.stdout.write(f"{job}\n")
        arguments = {f"--{name}": getattr(options, name) for name in ("tokens", "pictures", "output")}
        sys.stdout.write(f"{run(credentials, job, arguments)}\n")
    except (InktallyError, BotoCoreError, ClientError, RuntimeError) as error:
        sys.stderr.write(f"Glue did not count the words: {error or 'it did not start the job'}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
