"""One PostgreSQL and one Redis for the run; for each test a database and a Redis of its own."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis as sync_redis

from tests.support.databases import TEMPLATE, DatabaseUrls, fresh_database, make_template
from tests.support.desk import Desk
from worker.client import Client
from worker.embedded import embedded_servers
from worker.settings import Settings, read_settings

_ADMIN = "COPYDESK_TEST_POSTGRES"
_REDIS = "COPYDESK_TEST_REDIS"


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that starts the others; they inherit the URLs."""
    for name in [name for name in os.environ if name.startswith("COPYDESK_")]:
        if name not in {_ADMIN, _REDIS}:
            del os.environ[name]  # a developer's own settings are none of the tests' business
    if hasattr(config, "workerinput"):
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="copydesk-tests-")))
    home.chmod(0o711)
    servers = stack.enter_context(embedded_servers(home / "home"))
    os.environ[_ADMIN] = servers.postgres_admin_url
    os.environ[_REDIS] = servers.redis_url
    asyncio.run(make_template(servers.postgres_admin_url))


@pytest.fixture(scope="session")
def admin_url() -> str:
    """The superuser's URL of the run's PostgreSQL."""
    return os.environ[_ADMIN]


@pytest.fixture
async def database(admin_url: str) -> AsyncIterator[DatabaseUrls]:
    """A migrated database of the test's own."""
    async with fresh_database(admin_url, template=TEMPLATE) as urls:
        yield urls


@pytest.fixture
async def empty_database(admin_url: str) -> AsyncIterator[str]:
    """The superuser's URL of an empty database of the test's own."""
    async with fresh_database(admin_url, template="template0") as urls:
        yield urls.admin


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty Redis database that no other test uses at the same time."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    url = os.environ[_REDIS].rpartition("/")[0] + f"/{number}"
    with sync_redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def settings(database: DatabaseUrls, redis_url: str, tmp_path: Path) -> Settings:
    """Settings that point at the test's own servers, with short times."""
    return make_settings(database, redis_url, exports_directory=tmp_path / "exports")


def make_settings(database: DatabaseUrls, redis_url: str, **given: Any) -> Settings:
    """Return settings for a test's servers; `given` stands above the short times."""
    times = {"lease": 3, "heartbeat": 0.5, "sweep": 0.25, "drain_grace": 5, "pool_size": 4}
    return read_settings(
        **{
            "database_url": database.app,
            "dispatch_url": database.dispatch,
            "owner_url": database.owner,
            "maintenance_url": database.maintenance,
            "redis_url": redis_url,
            "concurrency": 8,
            "log_format": "json",
            **times,
            **given,
        }
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client of the test's own servers."""
    async with Client(settings) as client:
        yield client


@pytest.fixture
async def user(database: DatabaseUrls) -> UUID:
    """A user."""
    return await database.add_user()


@pytest.fixture
async def project(database: DatabaseUrls, user: UUID) -> UUID:
    """A project of the user."""
    return await database.add_project(user)


@pytest.fixture
def desk(
    client: Client, database: DatabaseUrls, project: UUID, user: UUID, tmp_path: Path
) -> Iterator[Desk]:
    """The desk of the test's own project."""
    desk = Desk(client, database, project, user, tmp_path)
    yield desk
    # Where a test has failed, an agent may still stand there that heeds nothing else.
    desk.open_gate()
