"""What the planner remembers of columns: it holds frequent values, and those of rows long gone."""

from sqlalchemy import text

from worker.database import Database
from worker.errors import CopydeskError
from worker.maintenance.patience import patiently

_ANALYZE = text("ANALYZE projects, agent_executions, execution_events, document_versions, exports")
# Of a table without rows ANALYZE finds out nothing, and leaves what it knew. What the planner was
# told of projects (models/declarations.py) was not found out, and stays.
_CLEAR = text("""
    SELECT pg_clear_attribute_stats('public', c.relname, a.attname, false)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.reltuples = 0
        AND a.attname <> 'project_id'
        AND c.relname IN ('projects', 'agent_executions', 'execution_events', 'document_versions',
                          'exports')
""")


async def forget_values(database: Database) -> list[str]:
    """Let the planner look at the tables anew; return a remark where it could not."""

    async def look() -> None:
        async with database.unscoped() as connection:
            await connection.execute(_ANALYZE)
            await connection.execute(_CLEAR)

    try:
        await patiently(look)
    except CopydeskError as error:
        remark = "the planner's statistics may still hold values of the project; autovacuum renews"
        return [f"{remark} them ({error.message})"]
    return []
