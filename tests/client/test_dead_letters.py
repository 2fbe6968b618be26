"""Dead letters: what failed for good can be found, and asked for again once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.databases import DatabaseUrls
from tests.support.workers import running_worker
from worker.client import Client
from worker.errors import NotFoundError
from worker.settings import Settings


@pytest.fixture
async def failed(client: Client, settings: Settings, project: UUID, user: UUID) -> UUID:
    """An execution that failed for good: there is nothing to review."""
    recorded = await client.enqueue(
        project, "review", {"document_type": "missing"}, requested_by=user
    )
    async with running_worker(settings):
        await client.wait(project, recorded.correlation_id, timeout=20)
    return recorded.execution_id


async def test_a_dead_letter_says_why_it_failed(
    client: Client, project: UUID, failed: UUID
) -> None:
    """The list carries the code and the message a person needs."""
    [letter] = await client.dead_letters.list(project)
    assert letter.execution_id == failed
    assert letter.error_code == "document_not_found"
    assert "missing" in letter.error_message
    assert letter.retried_as is None


async def test_the_list_is_filtered_by_agent_and_time(
    client: Client, project: UUID, failed: UUID
) -> None:
    """Only what was asked for."""
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert [x.execution_id for x in await client.dead_letters.list(project, agent_type="review")]
    assert await client.dead_letters.list(project, agent_type="revise") == []
    assert await client.dead_letters.list(project, since=soon) == []
    assert [
        x.execution_id
        for x in await client.dead_letters.list(project, since=soon - timedelta(hours=1))
    ] == [failed]


async def test_a_retry_is_a_new_execution_that_points_at_the_old(
    client: Client, project: UUID, user: UUID, failed: UUID, settings: Settings
) -> None:
    """Same agent, input and correlation id; the old one stays as it ended; the new one runs."""
    old = await client.execution(project, failed)
    await client.enqueue(
        project,
        "import_document",
        {"document_type": "missing", "content": "# Here\n"},
        requested_by=user,
    )
    async with running_worker(settings):
        [again] = await client.dead_letters.retry(project, [failed])
        report = await client.wait(project, again.correlation_id, timeout=20)
    assert again.correlation_id == old.correlation_id
    first, new = report.executions
    assert (first.execution_id, first.status) == (failed, "failed")
    assert (new.execution_id, new.retry_of) == (again.execution_id, failed)
    assert (new.agent_type, new.requested_by, new.attempt >= 1) == ("review", user, True)
    [letter] = [x for x in await client.dead_letters.list(project) if x.execution_id == failed]
    assert letter.retried_as == again.execution_id


async def test_asking_twice_retries_once(client: Client, project: UUID, failed: UUID) -> None:
    """A dead letter with a successor under way is left alone."""
    await client.dead_letters.retry(project, [failed])
    with pytest.raises(NotFoundError):
        await client.dead_letters.retry(project, [failed])


async def test_what_has_not_failed_cannot_be_retried(
    client: Client, project: UUID, user: UUID
) -> None:
    """Pending work is no dead letter."""
    recorded = await client.enqueue(project, "review", {}, requested_by=user)
    with pytest.raises(NotFoundError):
        await client.dead_letters.retry(project, [recorded.execution_id])


async def test_another_projects_dead_letter_does_not_exist(
    client: Client, database: DatabaseUrls, user: UUID, failed: UUID
) -> None:
    """The same answer as for an id that nobody has."""
    other = await database.add_project(user)
    assert await client.dead_letters.list(other) == []
    for execution in (failed, uuid4()):
        with pytest.raises(NotFoundError) as refused:
            await client.dead_letters.retry(other, [execution])
        assert "the project has none of them" in refused.value.message
