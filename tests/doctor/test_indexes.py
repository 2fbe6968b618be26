"""What the breakages cannot show of indexes: one that is being built, and one that failed."""

import asyncpg
import pytest

from tests.doctor.breakage import examined, of
from tests.support.databases import DatabaseUrls
from worker.doctor import CheckName
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule
from worker.settings import Settings


async def test_an_index_that_is_being_built_is_left_alone(
    seeing: Settings, database: DatabaseUrls
) -> None:
    """It is not valid yet, and nobody shall drop it for that."""
    await database.ask("CREATE INDEX idx_by_hand ON users (name)")
    await database.ask(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_by_hand'::regclass"
    )
    async with database.oracle() as builder, builder.transaction():
        await builder.execute("LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE")
        seen = await examined(seeing, CheckName.INDEXES)

    assert [each.subject for each in of(Rule.INDEX_BUILDING, seen)] == ["idx_by_hand"]
    assert of(Rule.INDEX_INVALID, seen) == []


async def test_a_unique_index_that_failed_is_found(
    seeing: Settings, database: DatabaseUrls
) -> None:
    """What CREATE INDEX CONCURRENTLY leaves behind where two rows have the same key."""
    await database.ask("INSERT INTO users (email, name) VALUES ('a@x.org', 'A'), ('b@x.org', 'A')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.ask("CREATE UNIQUE INDEX CONCURRENTLY idx_by_hand ON users (name)")

    [finding] = of(Rule.INDEX_INVALID, await examined(seeing, CheckName.INDEXES))

    assert finding.remedy == "DROP INDEX CONCURRENTLY idx_by_hand"


async def test_small_buffers_for_a_large_database_are_found(seeing: Settings) -> None:
    """What is large is set here so that this database is."""
    limits = Limits(buffers=(10**12, 0))
    assert of(Rule.SHARED_BUFFERS_SMALL, await examined(seeing, CheckName.SETTINGS, limits=limits))
    assert of(Rule.SHARED_BUFFERS_SMALL, await examined(seeing, CheckName.SETTINGS)) == []


async def test_a_table_is_estimated_where_nobody_may_measure(settings: Settings) -> None:
    """And that it was is said."""
    told = ", ".join((await examined(settings, CheckName.TABLES)).facts)
    assert "bloat estimated, since pgstattuple cannot be called" in told
