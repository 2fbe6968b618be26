"""The search function: it runs as a role whom no policy narrows, so everything is tried on it."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from models.roles import APP, DISPATCH, OWNER, SEARCH, SEARCH_COLUMNS
from tests.isolation.attack import Ground, intruder

pytestmark = pytest.mark.usefixtures("untouched")

FIND = "SELECT * FROM find_containing($1, $2, $3::text::jsonb, $4)"


def text_of(word: str) -> str:
    """Return a JSON object that the texts of a side's rows contain."""
    return f'{{"text": "{word}"}}'


@pytest.mark.parametrize("table", SEARCH_COLUMNS)
async def test_a_search_finds_ones_own_rows_only(table: str, ground: Ground) -> None:
    """Hopes for the other project's ids by a value that stands in its rows alone, or in both."""
    async with intruder(ground) as attempt:
        mine = await attempt.rows(FIND, ground.mine.project, table, text_of("harmless"), 1000)
        assert len(mine) == 1
        theirs = text_of(ground.theirs.canary)
        assert await attempt.rows(FIND, ground.mine.project, table, theirs, 1000) == []


async def test_an_index_of_all_projects_gives_ones_own_rows(ground: Ground) -> None:
    """Hopes that a project that is too large to be walked gets what the index has of others."""
    async with ground.database.oracle() as oracle, oracle.transaction():
        many = (
            "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
            "status, completed_at, output_data) SELECT $1, 'dormant', uuidv7(), $2, 'completed', "
            "now(), $3::text::jsonb FROM generate_series(1, $4)"
        )
        for side, number in ((ground.theirs, 50), (ground.mine, 1500)):
            filler = '{"common": 1}' if side is ground.theirs else '{"filler": 1}'
            await oracle.execute(many, side.project, ground.user, filler, number)
        await oracle.execute(many, ground.mine.project, ground.user, '{"common": 1}', 1)
        await oracle.execute(many, ground.mine.project, ground.user, '{"filler": 1}', 1500)
        await oracle.execute(f"SET LOCAL SESSION AUTHORIZATION {APP}")
        await oracle.execute(
            "SELECT set_config('app.project_id', $1, true)", str(ground.mine.project)
        )
        found = await oracle.fetch(
            FIND, ground.mine.project, "agent_executions", '{"common": 1}', 1000
        )
        assert len(found) == 1
        await oracle.execute("RESET SESSION AUTHORIZATION")
        rows = await oracle.fetch(
            "SELECT project_id FROM agent_executions WHERE id = $1", found[0]["id"]
        )
        assert [row["project_id"] for row in rows] == [ground.mine.project]
        await oracle.execute(
            "DELETE FROM agent_executions WHERE agent_type = 'dormant' AND output_data IS NOT NULL"
        )


async def test_a_search_serves_the_bound_project_and_no_other(ground: Ground) -> None:
    """Hopes to name another project, none, or to search before anything is bound."""
    asked = ("document_versions", text_of(ground.theirs.canary), 10)
    async with intruder(ground) as attempt:
        assert (await attempt.outcome(FIND, ground.theirs.project, *asked)).startswith("CD002 ")
        assert (await attempt.outcome(FIND, None, *asked)).startswith("CD001 ")
        said = await attempt.alike(FIND, ground.theirs.project, *asked)
        assert said.startswith("CD002 ")
    for scope in ("", None):
        async with intruder(ground, bound=False) as attempt:
            if scope is not None:
                await attempt.rows("SELECT set_config('app.project_id', $1, true)", scope)
            state = await attempt.refused(FIND, ground.theirs.project, *asked)
            assert state in {"42704", "22P02"}


async def test_names_of_the_callers_mean_nothing_inside(ground: Ground) -> None:
    """Hopes that a search_path, or something made in front of it, is used by the function."""
    async with intruder(ground) as attempt:
        for made in (
            "CREATE TEMP TABLE document_versions (id uuid, project_id uuid, metadata jsonb)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION public.greatest(int, real) RETURNS int LANGUAGE sql AS 'SELECT 0'",
            "CREATE OPERATOR public.@> (leftarg = jsonb, rightarg = jsonb, function = jsonb_ne)",
        ):
            assert await attempt.refused(made) == "42501"
        asked = (ground.mine.project, "document_versions", text_of("harmless"), 10)
        found = await attempt.rows(FIND, *asked)
        for path in ("pg_temp, public", "pg_catalog", "nowhere"):
            await attempt.rows("SELECT set_config('search_path', $1, true)", path)
            find = FIND.replace("find_containing", "public.find_containing")
            assert await attempt.rows(find, *asked) == found


@pytest.mark.parametrize(
    ("table", "value", "limit"),
    [
        ("execution_events", '{"text": "x"}', 1),
        ("document_versions; SELECT 1", '{"text": "x"}', 1),
        ("users", '{"text": "x"}', 1),
        (None, '{"text": "x"}', 1),
        ("document_versions", "{}", 1),
        ("document_versions", '{"a": {}, "b": [[]]}', 1),
        ("document_versions", '"text"', 1),
        ("document_versions", "null", 1),
        ("document_versions", None, 1),
        ("document_versions", '{"text": "x"}', 0),
        ("document_versions", '{"text": "x"}', 1001),
        ("document_versions", '{"text": "x"}', None),
    ],
)
async def test_what_it_does_not_search_is_refused(
    table: str | None, value: str | None, limit: int | None, ground: Ground
) -> None:
    """Hopes for other tables, for everything at once, and for SQL in an argument."""
    async with intruder(ground) as attempt:
        said = await attempt.outcome(FIND, ground.mine.project, table, value, limit)
        assert said.startswith("CD004 ")


async def test_a_plan_of_a_search_shows_nothing_of_the_inside(ground: Ground) -> None:
    """Hopes that EXPLAIN, or a library that explains, looks into the function."""
    explain = FIND.replace("SELECT", "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT", 1)
    async with intruder(ground) as attempt:
        asked = ("document_versions", text_of("harmless"), 10)
        plan = str(await attempt.rows(explain, ground.mine.project, *asked))
        assert "Function Scan" in plan
        assert "Index Cond" not in plan
        assert await attempt.refused("LOAD 'auto_explain'") == "42501"


@pytest.mark.parametrize("role", [APP, DISPATCH])
async def test_no_running_role_becomes_the_search_role(role: str, ground: Ground) -> None:
    """Hopes to take its policy along by SET ROLE, by membership, or by its function's rights."""
    async with intruder(ground, role, bound=False) as attempt:
        for take in (
            f"SET ROLE {SEARCH}",
            f"SET SESSION AUTHORIZATION {SEARCH}",
            f"GRANT {SEARCH} TO {role}",
            f"ALTER ROLE {SEARCH} LOGIN PASSWORD 'x'",
            f"ALTER FUNCTION find_containing OWNER TO {role}",
            "DROP FUNCTION find_containing(uuid, text, jsonb, integer)",
        ):
            assert await attempt.refused(take) == "42501"
    members = await ground.database.ask(
        "SELECT pg_get_userbyid(member) AS member, inherit_option, admin_option "
        "FROM pg_auth_members WHERE roleid = $1::text::regrole",
        SEARCH,
    )
    assert [tuple(row.values()) for row in members] == [(OWNER, False, False)]


async def test_the_dispatch_role_may_not_search(ground: Ground) -> None:
    """Hopes that what sees all projects may ask for what they contain."""
    async with intruder(ground, DISPATCH, scope=ground.theirs.project) as attempt:
        asked = (ground.theirs.project, "document_versions", text_of("x"), 10)
        assert await attempt.refused(FIND, *asked) == "42501"


async def test_the_search_role_sees_what_it_compares_and_no_more(ground: Ground) -> None:
    """Hopes for contents, inputs, errors, names or a write, once somebody were that role."""
    async with ground.database.oracle() as oracle:
        await oracle.execute(f"SET ROLE {SEARCH}")
        assert len(await oracle.fetch("SELECT project_id FROM document_versions")) > 1
        for refused in (
            "SELECT content FROM document_versions",
            "SELECT input_data, error_message FROM agent_executions",
            "SELECT name FROM projects",
            "SELECT detail FROM execution_events",
            "SELECT manifest FROM exports",
            "SELECT email FROM users",
            "UPDATE document_versions SET metadata = NULL",
            "DELETE FROM agent_executions",
            "SELECT find_due('{}', uuidv7(), 1, 1)",
            "SELECT claim_executions(NULL, NULL, NULL, NULL, NULL, NULL)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await oracle.execute(refused)


async def test_an_id_that_slipped_through_would_be_read_by_nobody(ground: Ground) -> None:
    """The reading looks the ids up under the guard: a foreign one leads to no row."""
    async with intruder(ground) as attempt:
        rows = await attempt.rows(
            "SELECT id FROM agent_executions WHERE id = ANY ($1)",
            [ground.theirs.completed, ground.mine.completed, uuid4(), UUID(int=1)],
        )
    assert [row["id"] for row in rows] == [ground.mine.completed]
