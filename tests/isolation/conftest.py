"""Two projects side by side: one full of canaries, and one that must not see any of them."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.isolation.canaries import CANARY, Seeded, seed
from tests.ledger.desk import Desk
from tests.support.databases import DatabaseUrls


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
