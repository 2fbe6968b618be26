"""The ledger on a real database: one project and as many workers as a test wants."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.ledger.desk import Desk
from tests.support.databases import DatabaseUrls


@pytest.fixture
async def desk(database: DatabaseUrls, project: UUID, user: UUID) -> AsyncIterator[Desk]:
    """Give a project and the moves in it."""
    desk = Desk(database, project, user)
    yield desk
    await desk.close()
