"""The job that counts words, on its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from inktally.settings import Settings
from spark_jobs.word_count import read_tokens
from tests.support.fixtures import SharedSpark
from tests.support.machine import PROJECT
from tests.support.sparks import PYTHON_SUBMIT, QUICK, SAMPLE, oracle, run, tokens

JOB = PROJECT / "spark_jobs" / "word_count.py"


def token_table(documents: Mapping[str, str]) -> pa.Table:
    each = [(name, token) for name, text in documents.items() for token in tokens(text, 87.5)]
    return pa.table(
        {
            "confidence": pa.array([round(token.confidence * 100) for _, token in each], pa.int32()),
            "word": [token.text for _, token in each],
            "document": [name for name, _ in each],
        }
    )


def written(output: Path) -> list[dict[str, object]]:
    parts = sorted(output.glob("part-*.json"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


@pytest.mark.long
def test_the_job_runs_under_spark_submit(tmp_path: Path) -> None:
    parquet.write_table(token_table(SAMPLE), tmp_path / "tokens.parquet")
    (tmp_path / "counts.json").mkdir()
    (tmp_path / "counts.json" / "part-old.json").write_text("old")
    options = ["--master", "local[2]", "--driver-java-options", QUICK, "--conf", "spark.ui.enabled=false"]
    command = [*PYTHON_SUBMIT, *options, str(JOB), "--input", f"{tmp_path}/tokens.parquet"]
    command += ["--output", f"{tmp_path}/counts.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert written(tmp_path / "counts.json") == [
        {"document": name, "word": word, "count": count, "confidence": confidence}
        for name in sorted(SAMPLE)
        for word, count, confidence in oracle(tokens(SAMPLE[name], 87.5))
    ]


def test_the_job_counts_a_plain_column_of_words_and_refuses_what_is_not_there(
    spark: SharedSpark, prepared: Settings, tmp_path: Path
) -> None:
    parquet.write_table(pa.table({"word": ["a", "B", None, "b", "None"]}), tmp_path / "words.parquet")
    calls = [["--input", f"{tmp_path}/{name}.parquet", "--output", f"{tmp_path}/out"] for name in ("words", "none")]
    script = f"from spark_jobs.word_count import main; print([main(call) for call in {calls!r}])"
    done = run(script, prepared, SPARK_REMOTE=spark.address)
    assert done.stdout == "[0, 2]\n"
    assert written(tmp_path / "out") == [
        {"document": "", "word": "b", "count": 2},
        {"document": "", "word": "a", "count": 1},
        {"document": "", "word": "none", "count": 1},
    ]
    complaint = done.stderr.splitlines()[-1]
    assert complaint.startswith(f"word_count: {tmp_path}/none.parquet cannot be counted: [PATH_NOT_FOUND]")


@pytest.mark.usefixtures("counter")
def test_a_missing_column_is_named(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(AnalysisException, match="word"):
        read_tokens(SparkSession.builder.getOrCreate(), str(tmp_path / "text.parquet"))


def test_help_tells_the_columns_without_starting_spark() -> None:
    command = ["env", "JAVA_HOME=/nowhere", sys.executable, JOB, "--help"]
    assert "confidence  integer" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
