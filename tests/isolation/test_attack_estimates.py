"""Estimates: what EXPLAIN would tell of the values of all projects, asked often enough."""

import json

import asyncpg

from models.declarations import hidden_columns
from models.tables import Base
from tests.isolation.attack import TABLES, Ground, prepare
from tests.support.databases import DatabaseUrls

LETTERS = "-0123456789abcdefghijklmnopqrstuvwxyz"


async def estimate(connection: asyncpg.Connection, condition: str) -> int:
    """Return how many rows the planner expects of a condition, without running anything."""
    plan = await connection.fetchval(
        f"EXPLAIN (FORMAT JSON) SELECT 1 FROM agent_executions WHERE {condition}"  # noqa: S608
    )
    return int(json.loads(plan)[0]["Plan"]["Plan Rows"])


async def spelled_out(ground: Ground, longest: int) -> str:
    """Return the commonest error message as estimates alone spell it out, in one's own project."""
    connection = await asyncpg.connect(ground.database.app, statement_cache_size=0)
    word = ""
    async with connection.transaction():
        await connection.fetch(
            "SELECT set_config('app.project_id', $1, true)", str(ground.mine.project)
        )
        many = await estimate(connection, "true") / 2
        while many > 1 and len(word) < longest:
            low, high = 0, len(LETTERS)
            while low < high:
                middle = (low + high) // 2
                condition = f"error_message < '{word}{LETTERS[middle]}~'"
                if await estimate(connection, condition) > many:
                    high = middle
                else:
                    low = middle + 1
            if low == len(LETTERS):
                break
            word += LETTERS[low]
    await connection.close()
    return word


async def test_the_planners_estimates_spell_out_no_value(database: DatabaseUrls) -> None:
    """Hopes for a text that is frequent in another project, by bisection over EXPLAIN's estimates.

    They come from all rows, and comparing text leaks nothing as PostgreSQL sees it; where a column
    has statistics, this is how they are read.
    """
    ground = await prepare(database)
    await database.ask(
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
        "status, error_code, error_message, completed_at) SELECT $1, 'review', uuidv7(), $2, "
        "'failed', 'agent_error', $3, now() FROM generate_series(1, 500)",
        ground.theirs.project,
        ground.user,
        ground.theirs.canary,
    )
    async with database.oracle() as oracle:
        await oracle.execute("ANALYZE agent_executions")
        assert ground.theirs.canary[:2] not in await spelled_out(ground, 3)

        await oracle.execute(
            "ALTER TABLE agent_executions ALTER COLUMN error_message SET STATISTICS DEFAULT"
        )
        await oracle.execute("ANALYZE agent_executions")
    assert await spelled_out(ground, len(ground.theirs.canary)) == ground.theirs.canary


async def test_no_estimate_of_a_condition_depends_on_what_others_have(
    database: DatabaseUrls,
) -> None:
    """Hopes that some column is estimated from other projects' values; each has to be numb.

    Every column that holds texts, ids or bytes is asked about a value that is frequent elsewhere.
    """
    ground = await prepare(database)
    await database.ask(
        "INSERT INTO execution_events (project_id, execution_id, event, attempt, worker) "
        "SELECT $1, $2, 'progress', 1, $3 FROM generate_series(1, 500)",
        ground.theirs.project,
        ground.theirs.running,
        ground.theirs.canary,
    )
    async with database.oracle() as oracle:
        await oracle.execute("ANALYZE")
        known = await oracle.fetch(
            "SELECT tablename, attname FROM pg_stats WHERE schemaname = 'public' "
            # What a migration told of projects: a number that is the same in every database.
            "AND NOT (attname = 'project_id' AND n_distinct = -0.0002::real AND null_frac = 0 "
            "AND correlation IS NULL AND most_common_vals IS NULL AND histogram_bounds IS NULL)"
        )
    told = {(row["tablename"], row["attname"]) for row in known}
    assert ("execution_events", "attempt") in told, "nothing was analyzed"
    assert told.isdisjoint(hidden_columns())
    types = {
        (table.name, column.name): str(column.type)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if table.name in dict(TABLES)
    }
    shown = {types[column] for column in told if column in types}
    kept = {
        ("agent_executions", "status"),
        ("agent_executions", "agent_type"),
        ("exports", "status"),
    }
    assert {column for column in told if types.get(column, "").startswith("VARCHAR")} <= kept
    assert shown.isdisjoint({"TEXT", "UUID", "BYTEA"})
