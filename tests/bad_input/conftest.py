"""One place a module: servers and a worker that every bad input of the module goes to."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis as sync_redis
from arq.connections import ArqRedis

from tests.bad_input.place import Place, open_place
from tests.conftest import _ADMIN, _REDIS
from worker.queue.connection import open_redis
from worker.settings import secret


@pytest.fixture(scope="module")
def own_redis_url() -> Iterator[str]:
    """An empty Redis database of the module's own, apart from those of single tests."""
    number = 8 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    url = os.environ[_REDIS].rpartition("/")[0] + f"/{number}"
    with sync_redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """Settings of the module's own, where it needs any."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    own_redis_url: str, given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """The module's place."""
    directory: Path = tmp_path_factory.mktemp("place")
    async with open_place(os.environ[_ADMIN], own_redis_url, directory, **given) as place:
        yield place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(place: Place) -> AsyncIterator[ArqRedis]:
    """The place's queue, as anybody who can reach Redis writes to it."""
    url = secret(place.settings.redis_url)
    client = open_redis(url, queue_name=place.settings.queue_name)
    yield client
    await client.aclose()
