"""One call may carry a late attempt and its successor: the fence tells them apart there too."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.ledger.desk import Desk, completion, draft
from tests.support.databases import DatabaseUrls


@pytest.fixture
async def desk(database: DatabaseUrls, project: UUID, user: UUID) -> AsyncIterator[Desk]:
    """Give a project and the moves in it."""
    desk = Desk(database, project, user)
    yield desk
    await desk.close()


async def test_a_late_attempt_writes_nothing_beside_its_successor(desk: Desk) -> None:
    """Of two completions of one execution in one call, only the running attempt's is written."""
    late = await desk.abandoned("w1")
    await desk.ledger.rescue(desk.project, [late.execution_id])
    [running] = await desk.claim(late.execution_id)

    refused, accepted = await asyncio.gather(
        desk.ledger.complete(
            desk.project, completion(late, draft("late", "notes"), output='{"attempt": 1}')
        ),
        desk.ledger.complete(
            desk.project, completion(running, draft("right"), output='{"attempt": 2}')
        ),
    )

    written = await desk.database.ask("SELECT content, attempt FROM document_versions")
    row = await desk.row(late.execution_id)
    assert [(version["content"], version["attempt"]) for version in written] == [("right", 2)]
    assert row["output_data"] == '{"attempt": 2}'
    assert (refused.accepted, accepted.accepted) == (False, True)
    assert (await desk.events(late.execution_id)).count("write_rejected") == 1
