"""A server of the gate's own, and on it a database to break."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.isolation.gate.site import Bench, running_server
from tests.support.databases import DatabaseUrls, make_template


@pytest.fixture(scope="session")
def gate_server() -> Iterator[str]:
    """Yield the superuser's URL of a server with a migrated template."""
    with running_server() as admin_url:
        asyncio.run(make_template(admin_url))
        yield admin_url


@pytest.fixture(scope="session")
def bench(gate_server: str) -> Bench:
    """Databases to break, used again where that is possible."""
    return Bench(gate_server)


@pytest.fixture
async def broken(bench: Bench) -> AsyncIterator[DatabaseUrls]:
    """Give a database to break in any way; it is thrown away afterwards."""
    yield await bench.database()
    await bench.throw_away()
