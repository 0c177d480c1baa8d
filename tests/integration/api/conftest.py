"""APIs over real HTTP, with a real folder store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.apis import RunningApi, api_settings, running_api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One whose pictures are answered."""
    folder = tmp_path_factory.mktemp("api")
    with running_api(api_settings(folder, max_bytes=10_000, api_uploads_per_minute=10_000)) as running:
        yield running


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One whose pictures nobody reads."""
    folder = tmp_path_factory.mktemp("unread")
    with running_api(api_settings(folder, api_wait_seconds=0.2, api_uploads_per_minute=10_000), reads=False) as running:
        yield running
