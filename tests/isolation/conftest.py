"""Two projects side by side: one full of canaries, and one that must not see any of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.cli.conftest import copydesk  # noqa: F401 - a fixture
from tests.conftest import make_settings
from tests.isolation.attack import Ground, fingerprint, prepare
from tests.isolation.canaries import CANARY, Seeded, seed
from tests.ledger.desk import Desk
from tests.support.databases import TEMPLATE, DatabaseUrls, fresh_database
from tests.support.desk import Desk as WorkDesk
from worker.client import Client
from worker.settings import Settings


@pytest.fixture
async def victim(database: DatabaseUrls, project: UUID, user: UUID) -> AsyncIterator[Seeded]:
    """Give the project full of canaries."""
    desk = Desk(database, project, user)
    yield await seed(desk, CANARY)
    await desk.close()


@pytest.fixture
async def stranger(victim: Seeded, database: DatabaseUrls, user: UUID) -> AsyncIterator[Seeded]:
    """Give another project of the same user, seeded alike but for the canary."""
    desk = Desk(database, await database.add_project(user), user)
    yield await seed(desk, "harmless")
    assert victim.project != desk.project
    await desk.close()


@pytest.fixture(scope="module")
def ground(admin_url: str) -> Iterator[Ground]:
    """Give a module's attacks one ground: whatever they try, it stays as it is."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opened = fresh_database(admin_url, template=TEMPLATE)
        database = runner.run(opened.__aenter__())
        try:
            yield runner.run(prepare(database))
        finally:
            runner.run(opened.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def untouched_until_now(ground: Ground) -> list[str]:
    """Tell what every row of the other project was before the first attack."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(fingerprint(ground))


@pytest.fixture
async def untouched(ground: Ground, untouched_until_now: list[str]) -> AsyncIterator[None]:
    """Compare every row of the other project after an attack with what it was."""
    yield
    assert await fingerprint(ground) == untouched_until_now


@dataclass(frozen=True)
class Workplace:
    """The ground at work: settings for a worker, a client, and a desk in each project."""

    settings: Settings
    client: Client
    mine: WorkDesk
    theirs: WorkDesk


def target(ground: Ground, how: str = "") -> dict[str, str]:
    """Return what an attacking agent is told of the other project."""
    return {
        "project_id": str(ground.theirs.project),
        "execution_id": str(ground.theirs.running),
        "document_type": ground.theirs.document_type,
        "how": how,
    }


@pytest.fixture
async def workplace(ground: Ground, redis_url: str, tmp_path: Path) -> AsyncIterator[Workplace]:
    """Give what a worker needs to work for both projects; one Redis serves both."""
    settings = make_settings(
        ground.database,
        redis_url,
        exports_directory=tmp_path / "exports",
        agents=["tests.support.desk_agents", "tests.isolation.attacking_agents"],
    )
    async with Client(settings) as client:
        desks = []
        for side in (ground.mine, ground.theirs):
            directory = tmp_path / str(side.project)
            directory.mkdir()
            desks.append(WorkDesk(client, ground.database, side.project, ground.user, directory))
        yield Workplace(settings, client, *desks)
