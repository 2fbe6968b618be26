"""Faults with real processes: the fixtures of `tests/processes`, and servers that may be broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.conftest import StartWorker, settings, start_worker
from tests.queue.redis_server import RedisServer, runnable_redis

__all__ = ["StartWorker", "settings", "start_worker"]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which keeps what it is told over a kill."""
    directory = tmp_path / "redis"
    directory.mkdir()
    server = RedisServer(
        runnable_redis(directory), directory, appendonly=True, password="faults-faults"
    )
    server.start()
    yield server
    server.stop()
