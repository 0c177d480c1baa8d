"""Count words with Spark: lower-case them, group them, order them.

    spark-submit spark_jobs/word_count.py --input TOKENS.parquet --output COUNTS.json

It needs PySpark and nothing else, so this one file can be submitted as it is to YARN, Kubernetes, EMR or Glue.
"""

import argparse
import sys
from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import (
    Column,
    DataFrame,
    SparkSession,
    functions as F,  # noqa: N812 - as all of Spark's own documents have it
)

DESCRIPTION = """\
Count the words of a Parquet file, in lower case.

Columns of the input (the order does not matter, others are ignored):
  word        string, required
  document    string: which document the word stands in; without it, all are one document ""
  confidence  integer: how surely it was recognised, in hundredths (0 to 10000); without it, there is no mean

The output is a folder of JSON Lines, as Spark writes it (part-*.json and _SUCCESS). Each line is
  {"document": ..., "word": ..., "count": ..., "confidence": mean from 0 to 100}
ordered by document, then by falling count, then by word in the order of code points.
An output that exists is overwritten."""


LOCALISED, LOWERED = "IJÌÍĨĮ", "ijìíĩį"
DOTTED_I, LOWERED_DOTTED_I = "\u0130", "i\u0307"


def lower_cased(word: str) -> Column:
    """The column `word` in lower case, whatever the locale of the JVMs that compute it.

    Spark's `lower` follows the locale: in Turkish, Azeri and Lithuanian it gives other letters for these.
    """
    return F.lower(F.replace(F.translate(word, LOCALISED, LOWERED), F.lit(DOTTED_I), F.lit(LOWERED_DOTTED_I)))


def count_words(tokens: DataFrame) -> DataFrame:
    """Tokens (document, word, confidence in hundredths) -> document, lower-cased word, count, sum of confidence.

    Integers are summed, so that the result does not depend on the order in which parts of the data arrive.
    """
    return (
        tokens.groupBy("document", lower_cased("word").alias("word"))
        .agg(F.count("*").alias("count"), F.sum(F.col("confidence").cast("long")).alias("confidence"))
        .orderBy("document", F.desc("count"), "word")
    )


def read_tokens(session: SparkSession, path: str) -> DataFrame:
    """The tokens in a Parquet file or folder. Raises `AnalysisException` when it is missing or has no words."""
    words = session.read.parquet(path)
    document = F.col("document").cast("string") if "document" in words.columns else F.lit("")
    confidence = F.col("confidence").cast("long") if "confidence" in words.columns else F.lit(None).cast("long")
    return words.where("word IS NOT NULL").select(
        F.coalesce(document, F.lit("")).alias("document"),
        F.col("word").cast("string").alias("word"),
        confidence.alias("confidence"),
    )


def write_counts(counts: DataFrame, path: str) -> None:
    """Write the counts with the mean confidence (0 to 100, two decimals) in place of the sum."""
    mean = F.round(F.col("confidence") / F.col("count") / 100, 2)
    counts.withColumn("confidence", mean).write.mode("overwrite").json(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 2 when the input is missing or has no column `word`."""
    parser = argparse.ArgumentParser(
        prog="spark-submit word_count.py", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", required=True, help="Parquet file or folder, anywhere that Spark can read")
    parser.add_argument("--output", required=True, help="folder for the JSON Lines, anywhere that Spark can write")
    options = parser.parse_args(arguments)
    session = SparkSession.builder.appName("word_count").getOrCreate()
    try:
        write_counts(count_words(read_tokens(session, options.input)), options.output)
    except AnalysisException as error:
        reason = str(error).strip().splitlines()[0]
        sys.stderr.write(f"word_count: {options.input} cannot be counted: {reason}\n")
        return 2
    finally:
        session.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
