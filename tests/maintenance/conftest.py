"""Settings with an exports directory, and the parts of maintenance, opened."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.cli.conftest import copydesk  # noqa: F401 - a fixture
from tests.conftest import make_settings
from tests.maintenance import canaries
from tests.maintenance.place import Place, Sound, make_sound, opened_place
from tests.maintenance.rows import Records
from tests.support.databases import DatabaseUrls
from worker.maintenance.deletion import Deletion
from worker.maintenance.opening import opened_deletion, opened_pruner
from worker.maintenance.pruning import Pruner
from worker.settings import Settings


@pytest.fixture
def settings(database: DatabaseUrls, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of the test's own servers, with agents for tests and an exports directory."""
    return make_settings(
        database,
        redis_url,
        exports_directory=tmp_path / "exports",
        agents=["tests.support.desk_agents", *canaries.AGENTS],
    )


@pytest.fixture
async def deletion(settings: Settings) -> AsyncIterator[Deletion]:
    """What deletes projects."""
    async with opened_deletion(settings) as opened:
        yield opened


@pytest.fixture
async def pruner(settings: Settings) -> AsyncIterator[Pruner]:
    """What prunes projects, a few executions at a time."""
    async with opened_pruner(settings, batch=3) as opened:
        yield opened


@pytest.fixture
def records(database: DatabaseUrls, project: UUID, user: UUID) -> Records:
    """The record of the test's own project."""
    return Records(database, project, user)


@pytest.fixture
def here(database: DatabaseUrls, settings: Settings) -> Place:
    """Where the project is."""
    return Place(database, settings)


@pytest.fixture
async def there(admin_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """Another database, with an exports directory of its own."""
    async with opened_place(admin_url, redis_url, tmp_path / "there") as place:
        yield place


@pytest.fixture(scope="session")
def sound(admin_url: str, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """Give a sound archive."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(make_sound(admin_url, tmp_path_factory.mktemp("sound")))
