"""Keys: unique and foreign-key checks look past row level security; every one is tried.

What makes that harmless is that keys lead with the project, so that a check never compares rows of
two projects, and that an error on such a table repeats no value.
"""

import asyncpg
import pytest

from models.roles import OWNER
from tests.isolation.attack import TABLES, Ground, intruder

pytestmark = pytest.mark.usefixtures("untouched")

REFERENCES = {
    "an event": (
        "INSERT INTO execution_events (project_id, execution_id, event, attempt) "
        "VALUES ($2, $1, 'claimed', 1)"
    ),
    "a version": (
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by, "
        "execution_id, attempt) VALUES ($2, 'x', 1, 'x', $3, $1, 1)"
    ),
    "an export": "INSERT INTO exports (project_id, execution_id, attempt) VALUES ($2, $1, 1)",
    "a retry": (
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
        "retry_of) VALUES ($2, 'review', uuidv7(), $3, $1)"
    ),
}


@pytest.mark.parametrize("what", REFERENCES)
async def test_a_reference_to_foreign_work_is_one_to_nothing(what: str, ground: Ground) -> None:
    """Hopes that a foreign key, which sees all rows, tells what exists or ties rows together."""
    arguments = [ground.mine.project, ground.user]
    statement = REFERENCES[what]
    async with intruder(ground) as attempt:
        for theirs in ground.theirs.executions:
            said = await attempt.alike(statement, theirs, *arguments[: statement.count("$") - 1])
            assert said.startswith("23503 ")


NAMES = {
    "an idempotency key": (
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
        "idempotency_key) VALUES ($2, 'review', $4, $3, $1) "
        "ON CONFLICT (project_id, idempotency_key) DO NOTHING RETURNING status"
    ),
    "a document and its version": (
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by, "
        "execution_id, attempt) VALUES ($2, $1, 1, 'x', $3, $4, 1) "
        "ON CONFLICT (project_id, document_type, version) DO NOTHING RETURNING version"
    ),
    "an export's file": (
        "INSERT INTO exports (project_id, execution_id, attempt, file_path) SELECT $2, $4, 1, $1 "
        "WHERE $3::uuid IS NOT NULL ON CONFLICT DO NOTHING RETURNING status"
    ),
}


@pytest.mark.parametrize("what", NAMES)
async def test_a_name_that_is_taken_elsewhere_is_free(what: str, ground: Ground) -> None:
    """Hopes that ON CONFLICT meets another project's row, and so tells that it is there."""
    theirs = {
        "an idempotency key": ground.theirs.key,
        "a document and its version": ground.theirs.document_type,
        "an export's file": f"{ground.theirs.canary}.zip",
    }[what]
    async with intruder(ground) as attempt:
        said = await attempt.alike(
            NAMES[what], theirs, ground.mine.project, ground.user, ground.mine.running
        )
    assert said.startswith("[<Record")


PLANTED = (
    "INSERT INTO agent_executions (project_id, agent_type, correlation_id, requested_by, "
    "idempotency_key) VALUES ($1, 'review', uuidv7(), $2, $3) "
    "ON CONFLICT (project_id, idempotency_key) "
)


@pytest.mark.parametrize("ending", ["DO NOTHING", "DO UPDATE SET priority = 7 RETURNING old.*"])
async def test_a_row_planted_in_another_project_is_refused_before_any_key(
    ending: str, ground: Ground
) -> None:
    """Hopes that the conflict with a row of theirs is looked at before the policy."""
    async with intruder(ground) as attempt:
        said = await attempt.alike(
            PLANTED + ending,
            ground.theirs.project,
            ground.user,
            ground.theirs.key,
        )
    assert said.startswith("42501 ")


async def test_a_conflict_with_a_foreign_id_changes_and_shows_nothing(ground: Ground) -> None:
    """Hopes that DO UPDATE writes to the row whose id was guessed, and RETURNING old shows it."""
    async with intruder(ground) as attempt:
        for theirs in ground.theirs.executions:
            said = await attempt.outcome(
                "INSERT INTO agent_executions (id, project_id, agent_type, correlation_id, "
                "requested_by) VALUES ($1, $2, 'review', uuidv7(), $3) ON CONFLICT (id) "
                "DO UPDATE SET priority = 7, project_id = excluded.project_id RETURNING old.*",
                theirs,
                ground.mine.project,
                ground.user,
            )
            assert said.startswith("42501 ")


BREACHES = {
    "23502": "UPDATE agent_executions SET status = NULL WHERE status = 'pending'",
    "23514": "UPDATE agent_executions SET failures = -1",
    "23505": (
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by, "
        "execution_id, attempt) SELECT project_id, document_type, version, content, created_by, "
        "execution_id, attempt FROM document_versions"
    ),
    "22001": "UPDATE agent_executions SET error_code = repeat('x', 65)",
    "CD006": "UPDATE agent_executions SET attempt = -1",
}


@pytest.mark.parametrize("state", BREACHES)
async def test_a_rule_that_is_broken_prints_no_row_not_even_ones_own(
    state: str, ground: Ground
) -> None:
    """Hopes for "Failing row contains (...)" and "Key (...) already exists"; neither is said."""
    async with intruder(ground) as attempt:
        said = await attempt.outcome(BREACHES[state])
        assert said.startswith(f"{state} ")
        for words in ("Failing row", "Key (", "harmless", "detail"):
            assert words not in said


async def test_without_row_level_security_the_row_would_be_printed(ground: Ground) -> None:
    """So the last test has something to miss: the superuser's errors do hold the values."""
    async with ground.database.oracle() as oracle:
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await oracle.execute(BREACHES["23514"])
    assert "Failing row contains" in str(refused.value.detail)


async def test_the_owner_cannot_make_a_project_vanish_by_cascade(ground: Ground) -> None:
    """Hopes that the owner's DELETE reaches the project and its cascade all the rest."""
    for scope in (ground.mine.project, ground.theirs.project):
        async with intruder(ground, OWNER, scope=scope) as attempt:
            for table, column in TABLES:
                erase = f"DELETE FROM {table} WHERE {column} = $1 RETURNING 1"  # noqa: S608
                assert await attempt.rows(erase, ground.theirs.project) == []


async def test_checks_cannot_be_put_off_to_the_commit(ground: Ground) -> None:
    """Hopes to keep a reference open until nobody looks; no key of the schema is deferrable."""
    async with intruder(ground) as attempt:
        await attempt.rows("SET CONSTRAINTS ALL DEFERRED")
        said = await attempt.alike(
            REFERENCES["an event"], ground.theirs.running, ground.mine.project
        )
        assert said.startswith("23503 ")
        keys = "SELECT conname FROM pg_constraint WHERE condeferrable AND contype IN ('f', 'u')"
        assert await attempt.rows(keys) == []
