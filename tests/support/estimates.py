"""What the planner was told of projects."""

from tests.support.databases import DatabaseUrls

TOLD = ["agent_executions", "document_versions", "execution_events", "exports"]


async def told(database: DatabaseUrls) -> list[str]:
    """Return the tables of which the planner knows how much a project has, as it was told."""
    rows = await database.ask(
        "SELECT tablename FROM pg_stats WHERE attname = 'project_id' "
        "AND n_distinct = -0.0002::real ORDER BY tablename"
    )
    return [row["tablename"] for row in rows]
