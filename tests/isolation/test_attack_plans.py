"""Plans, statistics, views of the server, notices: what PostgreSQL says beside the rows."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from models.roles import APP, DISPATCH, OWNER
from tests.isolation.attack import TABLES, Ground, Side, intruder
from worker.client import Client
from worker.settings import read_settings

pytestmark = pytest.mark.usefixtures("untouched", "analyzed")


@pytest.fixture(scope="module")
def analyzed(ground: Ground) -> None:
    """Let the planner know every table, as autovacuum does sooner or later."""

    async def analyze() -> None:
        async with ground.database.oracle() as oracle:
            # The server names the most common values of a column that holds the same one twice.
            await oracle.execute("ANALYZE")

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(analyze())


@pytest.mark.parametrize("table", [table for table, _ in TABLES])
async def test_an_explained_plan_shows_no_value(table: str, ground: Ground) -> None:
    """Hopes that a plan, printed in every detail, names a value of the policy or of a row."""
    async with intruder(ground) as attempt:
        for options in ("VERBOSE, SETTINGS", "ANALYZE, VERBOSE, BUFFERS, WAL", "GENERIC_PLAN"):
            lines = await attempt.rows(f"EXPLAIN ({options}) SELECT * FROM {table}")  # noqa: S608
            assert "current_setting('app.project_id'" in str(lines) or "InitPlan" in str(lines)
            assert str(ground.theirs.project) not in str(lines)


@pytest.mark.parametrize("role", [APP, DISPATCH, OWNER])
async def test_statistics_of_columns_are_hidden(role: str, ground: Ground) -> None:
    """Hopes for most common values and histograms; pg_stats leaves out what policies bind."""
    names = [table for table, _ in TABLES]
    query = "SELECT tablename, attname FROM pg_stats WHERE tablename = ANY ($1)"
    known = await ground.database.ask(
        "SELECT 1 FROM pg_stats WHERE tablename = ANY ($1) "
        "AND concat(most_common_vals, histogram_bounds) LIKE '%' || $2 || '%'",
        names,
        ground.theirs.canary,
    )
    assert known, "there is nothing to hide"
    async with intruder(ground, role) as attempt:
        assert await attempt.rows(query, names) == []
        assert await attempt.rows("SELECT statistics_name FROM pg_stats_ext") == []
        assert await attempt.refused("SELECT count(*) FROM pg_statistic") == "42501"
        assert await attempt.refused("SELECT count(*) FROM pg_statistic_ext_data") == "42501"


@pytest.fixture
async def client(ground: Ground, redis_url: str) -> AsyncIterator[Client]:
    """Give a client of the other project that has just asked for something, and stays."""
    settings = read_settings(database_url=ground.database.app, redis_url=redis_url)
    side = ground.theirs
    async with Client(settings) as client:
        await client.status(side.project, side.correlation)
        await client.document(side.project, side.document_type)
        await client.dead_letters.list(side.project)
        await client._ledger.rescue(side.project, [side.completed])
        yield client


def assert_no_value(seen: str, side: Side) -> None:
    """Texts of statements hold none of what was asked for."""
    assert "rescue_executions($1" in seen
    for value in (side.project, side.correlation, side.completed, side.document_type):
        assert str(value) not in seen


@pytest.mark.usefixtures("client")
async def test_the_statements_of_other_sessions_hold_no_value(ground: Ground) -> None:
    """Hopes to read what others ask for in pg_stat_activity: the texts show, the values do not."""
    async with intruder(ground) as attempt:
        rows = await attempt.rows(
            "SELECT query, application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert_no_value(str(rows), ground.theirs)


@pytest.mark.usefixtures("client")
async def test_the_statements_that_are_counted_hold_no_value(ground: Ground) -> None:
    """Hopes for values in pg_stat_statements: of other roles nothing shows, of one's own `$1`."""
    query = (
        "SELECT query FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid "
        "WHERE d.datname = current_database()"
    )
    async with intruder(ground) as attempt:
        assert_no_value(str(await attempt.rows(query)), ground.theirs)
    async with intruder(ground, DISPATCH) as attempt:
        others = {row["query"] for row in await attempt.rows(query)}
    assert not {text for text in others if "executions(" in text or "document_versions" in text}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT last_value FROM execution_events_id_seq",
        "SELECT nextval('execution_events_id_seq')",
        "SELECT currval('execution_events_id_seq')",
        "SELECT setval('execution_events_id_seq', 1)",
    ],
)
async def test_the_counter_of_events_is_nobodys_to_read(statement: str, ground: Ground) -> None:
    """Hopes to read off, or to turn, the counter that numbers all projects' events."""
    async with intruder(ground) as attempt:
        assert await attempt.refused(statement) == "42501"


async def test_no_view_of_the_catalog_reads_the_counter_either(ground: Ground) -> None:
    """Hopes for the same figure in pg_sequences and the functions behind it."""
    async with intruder(ground) as attempt:
        name = "execution_events_id_seq"
        for query in (
            "SELECT last_value FROM pg_sequences WHERE sequencename = $1",
            "SELECT pg_sequence_last_value($1::text::regclass)",
            "SELECT last_value FROM pg_get_sequence_data($1::text::regclass)",
        ):
            rows = await attempt.rows(query, name)
            assert [row[0] for row in rows] in ([None], [])


async def test_locks_of_others_name_no_row(ground: Ground) -> None:
    """Hopes that pg_locks tells which rows or documents another project is at work on."""
    theirs = ground.theirs
    owner = await asyncpg.connect(ground.database.app)
    async with owner.transaction():
        await owner.fetch("SELECT enter_project($1)", theirs.project)
        await owner.fetch("SELECT 1 FROM agent_executions WHERE id = $1 FOR UPDATE", theirs.running)
        await owner.fetch(
            "SELECT pg_advisory_xact_lock(hashtextextended($1 || ':' || $2, 0))",
            str(theirs.project),
            theirs.document_type,
        )
        async with intruder(ground) as attempt:
            locks = await attempt.rows("SELECT * FROM pg_locks WHERE pid <> pg_backend_pid()")
            seen = str(locks)
    await owner.close()
    assert "advisory" in seen
    for value in (theirs.project, theirs.running, theirs.document_type):
        assert str(value) not in seen


async def test_the_loudest_notices_tell_of_ones_own_rows_only(ground: Ground) -> None:
    """Hopes that debugging output of the planner and the server quotes hidden rows."""
    async with intruder(ground) as attempt:
        for setting, value in (
            ("client_min_messages", "debug5"),
            ("debug_print_parse", "on"),
            ("debug_print_rewritten", "on"),
            ("debug_print_plan", "on"),
            ("log_parameter_max_length_on_error", "-1"),
        ):
            await attempt.rows("SELECT set_config($1, $2, true)", setting, value)
        await attempt.rows("SELECT * FROM document_versions WHERE content LIKE '%'")
        await attempt.outcome("SELECT content::int FROM document_versions")
        await attempt.outcome(
            "SELECT * FROM claim_executions($1, $2, 'w1', '1s', '{dormant}', '{3}', true)",
            ground.mine.project,
            [ground.theirs.running],
        )
        await asyncio.sleep(0)
        said = "".join(attempt.heard)
    assert "harmless" in said
    assert str(ground.theirs.project) not in said


async def test_a_deadlock_tells_its_victim_of_no_statement(ground: Ground) -> None:
    """Hopes that the report of a deadlock quotes the other side; the client gets numbers only."""
    wait = "SELECT pg_advisory_xact_lock($1), $2::text"
    owner = await asyncpg.connect(ground.database.app)
    async with intruder(ground) as attempt:
        transaction = owner.transaction()
        await transaction.start()
        await owner.fetch(wait, 1, ground.theirs.canary)
        await attempt.rows(wait, 2, "")
        said = await asyncio.gather(
            attempt.connection.fetch(wait, 1, ""),
            owner.fetch(wait, 2, ground.theirs.canary),
            return_exceptions=True,
        )
        [victim] = [each for each in said if isinstance(each, asyncpg.DeadlockDetectedError)]
        words = f"{victim} {victim.as_dict()}"
        assert "waits for" in words
        assert "pg_advisory_xact_lock" not in words
        assert ground.theirs.canary not in words
        await transaction.rollback()
    await owner.close()
