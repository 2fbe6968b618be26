"""Writes: SQL and moves of one project that would change, move or plant rows of another."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from models.functions import function_sources
from models.roles import FUNCTION_GRANTS
from tests.isolation.attack import DORMANT, TABLES, Ground, intruder, masked

pytestmark = pytest.mark.usefixtures("untouched")

WIDE = {
    "UPDATE agent_executions SET failures = 7",
    "UPDATE agent_executions SET error_code = 'x'",
    "UPDATE projects SET name = 'mine now'",
    "UPDATE exports SET status = 'expired'",
    "WITH w AS (UPDATE agent_executions SET failures = 7 RETURNING project_id) SELECT * FROM w",
    (
        "MERGE INTO agent_executions t USING (VALUES (NULL::uuid)) s (id) ON t.id = s.id "
        "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET failures = 7"
    ),
    "UPDATE agent_executions SET failures = 7 FROM users WHERE users.id = requested_by",
}


@pytest.mark.parametrize("statement", sorted(WIDE))
async def test_a_write_without_a_condition_ends_at_ones_own_rows(
    statement: str, ground: Ground
) -> None:
    """Hopes that a write without WHERE, or by way of what is absent, goes through all rows."""
    async with intruder(ground) as attempt:
        await attempt.rows(statement)
        # The oracle cannot see what is not committed: the intruder itself becomes the other side.
        await attempt.rows(
            "SELECT set_config('app.project_id', $1, true)", str(ground.theirs.project)
        )
        written = await attempt.rows(
            "SELECT 1 FROM agent_executions WHERE failures = 7 "
            "UNION ALL SELECT 1 FROM projects WHERE name = 'mine now' "
            "UNION ALL SELECT 1 FROM exports WHERE status = 'expired' "
            "UNION ALL SELECT 1 FROM agent_executions WHERE error_code = 'x'"
        )
        assert written == []


@pytest.mark.parametrize(("table", "column"), TABLES)
async def test_no_row_moves_into_another_project(table: str, column: str, ground: Ground) -> None:
    """Hopes to push a row of one's own over the fence; refused, whoever is on the other side."""
    async with intruder(ground) as attempt:
        move = f"UPDATE {table} SET {column} = $1 RETURNING 1"  # noqa: S608
        said = await attempt.alike(move, ground.theirs.project)
    assert said.startswith("42501 ")


async def test_returning_gives_back_ones_own_rows_only(ground: Ground) -> None:
    """Hopes that RETURNING old, new or joined columns tells of rows that were not written."""
    theirs = ground.theirs
    async with intruder(ground) as attempt:
        rows = await attempt.rows(
            "UPDATE agent_executions e SET failures = 3 FROM agent_executions o "
            "WHERE o.id <> e.id RETURNING old.project_id, new.project_id, o.project_id"
        )
        assert {value for row in rows for value in row} == {ground.mine.project}
        by_id = "UPDATE agent_executions SET failures = 3 WHERE id = $1 RETURNING old.*, new.*"
        assert await attempt.alike(by_id, theirs.running) == "[]"


@pytest.mark.parametrize("table", ["document_versions", "execution_events", "projects", "exports"])
async def test_nothing_is_deleted_not_even_ones_own(table: str, ground: Ground) -> None:
    """Hopes to delete a project and have cascades delete the rest; the role may delete nothing."""
    async with intruder(ground) as attempt:
        assert await attempt.refused(f"DELETE FROM {table}") == "42501"  # noqa: S608
        assert await attempt.refused("DELETE FROM agent_executions") == "42501"
        assert await attempt.refused("DELETE FROM users") == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "ALTER TABLE agent_executions DISABLE TRIGGER ALL",
        "ALTER TABLE execution_events DROP CONSTRAINT fk_execution_events_execution",
        "ALTER POLICY project_guard ON projects USING (true)",
        "CREATE POLICY mine ON projects USING (true)",
        "CREATE RULE mine AS ON UPDATE TO projects DO INSTEAD NOTHING",
        "CREATE TRIGGER mine AFTER INSERT ON projects EXECUTE FUNCTION touch_project()",
        "CREATE OR REPLACE FUNCTION enter_project(uuid) RETURNS void LANGUAGE sql AS ''",
        "ALTER FUNCTION enter_project(uuid) SECURITY DEFINER",
        "ALTER ROLE copydesk_app BYPASSRLS",
        "GRANT copydesk_owner TO copydesk_app",
        "COMMENT ON TABLE projects IS 'mine'",
    ],
)
async def test_what_keeps_projects_apart_cannot_be_taken_off(
    statement: str, ground: Ground
) -> None:
    """Hopes to switch off a trigger, a key, a policy or a function of the schema."""
    async with intruder(ground) as attempt:
        assert await attempt.refused(statement) == "42501"


Call = tuple[str, list[Any]]


def batches(theirs: UUID, mine: UUID) -> dict[str, Call]:
    """Return a call of every move that takes ids, with an id of theirs beside one of mine."""
    both, ones = [theirs, mine], [1, 1]
    second = timedelta(seconds=1)
    return {
        "claim_executions": (
            "$2, 'w1', $3, $4, $5, true",
            [both, second, ["review", DORMANT], [3, 3]],
        ),
        "complete_executions": (
            (
                """'w1', $2, $3, '{"{}","{}"}', '{1}', '{stolen}', $4, '{"{}"}', '{NULL}', """
                """'{NULL}', '{NULL}', '{1}', $4, '{"{}"}', $5"""
            ),
            [both, ones, ["# Stolen"], [second]],
        ),
        "fail_executions": (
            "'w1', $2, $3, $4, $4, $5",
            [both, ones, ["code", "code"], [None, None]],
        ),
        "release_executions": (
            "'w1', $2, $3, $4, $5",
            [both, ones, [None, None], ["", ""]],
        ),
        "cancel_executions": ("$2, 'x'", [both]),
        "cancel_attempts": ("'w1', $2, $3, $4", [both, ones, ["", ""]]),
        "rescue_executions": ("$2, 'w1'", [both]),
        "retry_executions": ("$2, NULL", [both]),
        "record_progress": ("'w1', $2, $3, $4, $5", [both, ones, [0.5, 0.5], ["", ""]]),
        "reject_writes": ("'w1', $2, $3, 'complete', NULL, NULL", [both, ones]),
        "find_repeats": ("'w1', $2, $3, $4", [both, ones, ["completed", "claimed", "failed"]]),
    }


# They answer nothing, or places.
ANSWER_NO_ID = {"record_progress", "reject_writes", "find_repeats"}


def test_every_function_that_takes_ids_is_called_with_both() -> None:
    """A move that is added is attacked here too."""
    takes_ids = {
        name
        for name in FUNCTION_GRANTS["copydesk_app"]
        for source in function_sources()
        if f"FUNCTION {name}(" in source and "p_execution_ids" in source.split("LANGUAGE", 1)[0]
    }
    assert takes_ids == set(batches(uuid4(), uuid4()))


@pytest.mark.parametrize("move", batches(uuid4(), uuid4()))
async def test_a_batch_that_mixes_two_projects_moves_ones_own_only(
    move: str, ground: Ground
) -> None:
    """Hopes that an id of theirs passes beside one of mine; it is answered like nobody's id."""
    mine = ground.mine.failed if move == "retry_executions" else ground.mine.running
    for theirs in ground.theirs.executions:
        said = []
        for id_ in (theirs, uuid4()):
            form, arguments = batches(id_, mine)[move]
            statement = f"SELECT r::text FROM {move}($1, {form}) r"  # noqa: S608
            async with intruder(ground) as attempt:
                outcome = await attempt.outcome(statement, ground.mine.project, *arguments)
                assert str(mine) in outcome or move in ANSWER_NO_ID, outcome
                events = await attempt.rows("SELECT count(*) FROM execution_events")
                stolen = await attempt.rows(
                    "SELECT execution_id FROM document_versions WHERE document_type = 'stolen' "
                    "UNION ALL SELECT execution_id FROM exports WHERE file_path = '# Stolen'"
                )
                assert {row["execution_id"] for row in stolen} <= {mine}
            said.append((masked(outcome, id_), str(events)))
        assert said[0] == said[1]


async def test_a_move_with_the_other_project_in_its_place_is_refused(ground: Ground) -> None:
    """Hopes that a part of a move, which binds nothing itself, serves whatever project it names."""
    async with intruder(ground) as attempt:
        for given in (ground.theirs.project, uuid4()):
            for move in ("reject_writes", "find_repeats"):
                form, arguments = batches(ground.theirs.running, ground.theirs.completed)[move]
                said = await attempt.rows(
                    f"SELECT {move}($1, {form})",
                    given,
                    *arguments,
                )
                assert [row[0] for row in said] in ([""], [None], [[]])


async def test_no_project_is_made_inside_anothers_transaction(ground: Ground) -> None:
    """Hopes that making a project binds the transaction anew, and so to two."""
    async with intruder(ground) as attempt:
        assert await attempt.refused("SELECT create_project('x', $1)", ground.user) == "CD002"
        assert (
            await attempt.refused("SELECT enter_project($1)", ground.theirs.project)
            == await attempt.refused("SELECT enter_project($1)", uuid4())
            == "CD002"
        )


async def test_functions_of_triggers_are_nobodys_to_call(ground: Ground) -> None:
    """Hopes to run a trigger's function on a row of one's own making."""
    async with intruder(ground) as attempt:
        for name in ("touch_project", "refuse_illegal_move", "refuse_language_change"):
            assert await attempt.refused(f"SELECT {name}() IS NULL") == "42501"
