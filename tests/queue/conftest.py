"""A real Redis, a queue of each test's own, and a worker to run in it."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from arq.connections import ArqRedis

from tests.queue.desk import Desk
from tests.queue.redis_server import RedisServer, runnable_redis
from worker.queue.connection import open_redis
from worker.queue.intake import QueueWorker

MakeWorker = Callable[..., QueueWorker]


@pytest.fixture(scope="session")
def redis_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a redis-server that can be run."""
    return runnable_redis(tmp_path_factory.mktemp("redis-program"))


@pytest.fixture
def own_server(redis_program: Path, tmp_path: Path) -> Iterator[RedisServer]:
    """Start a Redis that a test may kill, flush and start again."""
    server = RedisServer(redis_program, tmp_path, appendonly=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def queue_name() -> str:
    """Name a queue that no other test uses."""
    return f"test:{uuid4().hex}"


@pytest.fixture
async def redis(redis_url: str, queue_name: str) -> AsyncIterator[ArqRedis]:
    """Open the test's queue; as a producer it writes pickle, arq's default."""
    client = open_redis(redis_url, queue_name=queue_name)
    yield client
    await client.aclose()


@pytest.fixture
async def own_redis(own_server: RedisServer, queue_name: str) -> AsyncIterator[ArqRedis]:
    """Open the test's queue on the server that the test may kill."""
    client = open_redis(own_server.url, queue_name=queue_name)
    yield client
    await client.aclose()


@pytest.fixture
def desk() -> Desk:
    """Give a handler that notes what it gets and leaves it under way."""
    return Desk()


@pytest.fixture
def make_worker(redis: ArqRedis, queue_name: str, desk: Desk) -> MakeWorker:
    """Make workers of the test's queue for a handler; each is an owner of its own."""

    def make(handler: Desk | None = None, **options: Any) -> QueueWorker:
        handler = handler or desk
        defaults: dict[str, Any] = {
            "queue_name": queue_name,
            "redis_pool": redis,
            "owner": uuid4().hex,
            "lease": timedelta(seconds=30),
            "handler": handler,
        }
        worker = QueueWorker(**(defaults | options))
        handler.worker = worker
        return worker

    return make
