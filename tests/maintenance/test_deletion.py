"""Deleting a project leaves nothing of it, and touches nothing else."""

from collections import Counter
from uuid import UUID

import pytest

from tests.maintenance.canaries import fill, silent_columns
from tests.support.databases import DatabaseUrls
from worker.errors import NotFoundError
from worker.maintenance.deletion import Deletion
from worker.settings import Settings

# What takes text, but no words of a project: states, a language, names of agents, workers, files.
FIXED = {
    "agent_executions.agent_type",
    "agent_executions.status",
    "agent_executions.worker",
    "execution_events.event",
    "execution_events.worker",
    "exports.file_path",
    "exports.status",
    "projects.language",
    "projects.status",
}


async def test_nothing_of_a_deleted_project_is_found_anywhere(
    settings: Settings, database: DatabaseUrls, user: UUID, deletion: Deletion
) -> None:
    """Its word is in no dump, no statistics, no key or value of Redis, no file; another's stays."""
    gone, stays = await fill(settings, database, user, 2)
    before = await stays.found() - Counter(statistics=100)  # which are renewed
    assert await silent_columns(database, gone.project, gone.word) == FIXED
    assert set(await gone.found()) == {
        *("agent_executions", "document_versions", "execution_events", "exports", "projects"),
        *("statistics", "redis", "files"),
    }
    expected = await deletion.survey(gone.project)

    receipt = await deletion.delete(gone.project)

    assert await gone.found() == {}
    assert await stays.found() - Counter(statistics=100) == before
    assert receipt.counts.items() >= expected.counts.items() - {("redis", expected.counts["redis"])}
    assert receipt.counts["redis"] >= expected.counts["redis"]
    assert receipt.remarks == []
    with pytest.raises(NotFoundError):
        await deletion.survey(gone.project)
