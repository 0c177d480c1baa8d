"""What Inktally uses of Prefect beyond its documented API is there, and has the shape that is expected of it.

A failure says what to do. docs/prefect-internals.md has the same list, for people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import getsource, signature
from pathlib import Path
from typing import Any, cast

import prefect
import pytest

from deployments.warm import supervised_run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "prefect-internals.md"
TO_DO = f"Prefect is {prefect.__version__}. {PAGE.relative_to(ROOT)}, 'On a new version', says what to do."
PRODUCT = ("deployments", "flows", "inktally", "tasks", "web")
PRIVATE = re.compile(r"\bprefect(?:_aws)?(?:\.\w+)*\._(?!_)\w+|PREFECT__\w+|(?<=storage\.)_\w+|(?<=block\.)_\w+")
"""Modules with an underscore, variables that Prefect keeps for itself, and private methods of its blocks."""


@dataclass(frozen=True)
class Internal:
    """Names that are used in one file, and whether they are what that file takes them for."""

    names: tuple[str, ...]
    used_in: str
    holds: Callable[[], bool]


def found(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def parameters(name: str, method: str) -> list[str]:
    return list(signature(getattr(found(name), method)).parameters)


def source_of(module: str) -> str:
    return getsource(import_module(module))


class Ended:
    """A child that has ended."""

    pid, returncode = 1, -9


def handle_has_the_process() -> bool:
    scope = found("prefect.runner._process_manager.create_isolated_termination_scope")(Ended.pid)
    handle = found("prefect.runner._process_manager.ProcessHandle")(cast(Any, Ended), scope)
    return (handle.pid, handle.returncode) == (Ended.pid, Ended.returncode)


SUPERVISED, WORKER = "deployments/warm/supervised_run.py", "deployments/warm/worker.py"
EXECUTOR, BASE = "prefect.runner._flow_run_executor", "prefect.workers.base.BaseWorker"

INTERNALS = [
    Internal(
        ("prefect.runner._flow_run_executor",),
        SUPERVISED,
        lambda: (
            {"flow_run", "starter", "resolve_flow", "propose_submitting"}
            <= set(parameters(f"{EXECUTOR}.FlowRunExecutorContext", "create_executor"))
            and parameters(f"{EXECUTOR}.FlowRunExecutor", "submit") == ["self", "task_status"]
            and {"handle", "status_code"} <= set(found(f"{EXECUTOR}.FlowRunExecutionResult").__dataclass_fields__)
        ),
    ),
    Internal(("prefect.runner._process_manager",), SUPERVISED, handle_has_the_process),
    Internal(
        ("prefect.runner._control_channel",),
        SUPERVISED,
        lambda: parameters("prefect.runner._control_channel.ControlChannel", "register") == ["self", "flow_run_id"],
    ),
    Internal(
        ("PREFECT__FLOW_ENTRYPOINT", "PREFECT__FLOW_RUN_ID", "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"),
        SUPERVISED,
        lambda: all(
            name in source_of("prefect.flow_engine") + source_of("prefect.engine")
            for name in ("PREFECT__FLOW_ENTRYPOINT", "FLOW_RUN_ID", "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS")
        ),
    ),
    Internal(
        ("PREFECT__CONTROL_PORT", "PREFECT__CONTROL_TOKEN"),
        SUPERVISED,
        lambda: all(
            name in source_of("prefect.runner._starter_engine")
            for name in ("PREFECT__CONTROL_PORT", "PREFECT__CONTROL_TOKEN")
        ),
    ),
    Internal(
        ("_display_name", "get_and_submit_flow_runs", "is_setup"),
        WORKER,
        lambda: (
            {"_display_name", "_description"} <= set(vars(found("prefect.workers.process.ProcessWorker")))
            and parameters(BASE, "get_and_submit_flow_runs") == ["self"]
            and "self.is_setup" in getsource(found(BASE).__init__)
        ),
    ),
    Internal(
        ("refresh_global_settings_context", "setup_logging"),
        "deployments/warm/forkserver.py",
        lambda: (
            not signature(found("prefect.context.refresh_global_settings_context")).parameters
            and "incremental" in signature(found("prefect.logging.configuration.setup_logging")).parameters
        ),
    ),
    Internal(
        ("prefect.server.api.server", "PREFECT__SERVER_EPHEMERAL"),
        "flows/commands/api_server.py",
        lambda: "PREFECT__SERVER_EPHEMERAL" in getsource(found("prefect.server.api.server.create_app")),
    ),
    Internal(
        ("storage_key",),
        "tasks/caching.py",
        lambda: {"storage_key", "serializer"} <= set(found("prefect.results.ResultRecordMetadata").model_fields),
    ),
    Internal(
        ("_resolve_path", "_get_s3_client"),
        "tasks/receipts.py",
        lambda: (
            parameters("prefect_aws.S3Bucket", "_resolve_path") == ["self", "path"]
            and parameters("prefect_aws.S3Bucket", "_get_s3_client") == ["self"]
            and "bucket_name" in found("prefect_aws.S3Bucket").model_fields
        ),
    ),
]


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: internal.names[0])
def test_what_is_used_of_prefects_inner_life_has_the_expected_shape(internal: Internal) -> None:
    names = ", ".join(internal.names)
    try:
        holds, why = internal.holds(), "it has another shape"
    except (ImportError, AttributeError, TypeError) as error:
        holds, why = False, str(error)
    assert holds, f"{names}: not what {internal.used_in} takes it for ({why}). {TO_DO}"


def test_the_warm_worker_is_written_for_this_version_of_prefect() -> None:
    assert prefect.__version__ == supervised_run.WRITTEN_FOR, f"No run starts warm. {TO_DO}"


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: internal.names[0])
def test_each_is_used_in_one_file_and_documented(internal: Internal) -> None:
    page = PAGE.read_text()
    for name in internal.names:
        whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        assert [file for file, text in sources() if whole.search(text)] == [internal.used_in], name
        assert name in page
    assert internal.used_in in page


def test_nothing_else_of_the_kind_is_used() -> None:
    listed = {name for internal in INTERNALS for name in internal.names}
    used = {name for _, text in sources() for name in PRIVATE.findall(text)}
    assert used - listed == set()


def sources() -> Iterator[tuple[str, str]]:
    """The product's files, by their paths."""
    for folder in PRODUCT:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), file.read_text()
