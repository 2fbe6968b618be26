"""Real worker processes, signalled and killed like real ones, on the test's own servers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, worker_process
from worker.settings import Settings

StartWorker = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


@pytest.fixture
def settings(database: DatabaseUrls, redis_url: str, tmp_path: Path) -> Settings:
    """Short times, and the agents that misbehave."""
    return make_settings(
        database,
        redis_url,
        exports_directory=tmp_path / "exports",
        agents=AGENTS,
        lease=1.5,
        heartbeat=0.5,
    )


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> StartWorker:
    """Start a worker process and wait until it is ready."""
    count = 0

    @asynccontextmanager
    async def start(*command: str, **changed: Any) -> AsyncIterator[WorkerProcess]:
        nonlocal count
        count += 1
        log = tmp_path / f"worker-{count}.log"
        async with worker_process(settings.model_copy(update=changed), log, *command) as worker:
            try:
                await until(lambda: worker.is_ready, within=30)
            except AssertionError:
                raise AssertionError(f"not ready: {worker.log}") from None
            yield worker

    return start
