"""Readings on a real database: a project whose history was made by the ordinary moves."""

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
