"""A throw-away project-owned table passes when it is complete, and goes red without any part."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.isolation.gate.breakage import by_hand
from tests.isolation.gate.site import Bench, examined
from worker.gate import Rule

_INSIDE = "project_id = (SELECT current_setting('app.project_id')::uuid)"
_FOR_ALL = f"USING ({_INSIDE}) WITH CHECK ({_INSIDE})"


@dataclass(frozen=True)
class Part:
    """One thing a project-owned table needs, what it is made with, and what is said without it."""

    statement: str
    rule: Rule
    words: str


PARTS = {
    "not null": Part(
        "ALTER TABLE {table} ALTER project_id SET NOT NULL",
        Rule.PROJECT_COLUMN,
        "project_id is not NOT NULL",
    ),
    "key to projects": Part(
        "ALTER TABLE {table} ADD FOREIGN KEY (project_id) REFERENCES projects ON DELETE CASCADE",
        Rule.PROJECT_KEY,
        "project_id does not reference projects (id) ON DELETE CASCADE",
    ),
    "enabled": Part(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", Rule.RLS_DISABLED, "is not enabled"
    ),
    "forced": Part(
        "ALTER TABLE {table} FORCE ROW LEVEL SECURITY", Rule.RLS_NOT_FORCED, "is not forced"
    ),
    "guard": Part(
        "CREATE POLICY project_guard ON {table} AS RESTRICTIVE TO copydesk_app, copydesk_owner "
        + _FOR_ALL,
        Rule.POLICY_MISSING,
        "has no restrictive policy on app.project_id",
    ),
    "access": Part(
        "CREATE POLICY project_access ON {table} TO copydesk_app " + _FOR_ALL,
        Rule.POLICY_MISSING,
        "has no policy that lets copydesk_app in",
    ),
    "unique key": Part(
        "ALTER TABLE {table} DROP CONSTRAINT one_title,"
        " ADD CONSTRAINT one_title UNIQUE (project_id, title)",
        Rule.UNIQUE_WITHOUT_PROJECT,
        "the unique key one_title does not carry project_id",
    ),
    "grant": Part(
        "REVOKE TRUNCATE ON {table} FROM copydesk_app",
        Rule.PRIVILEGE_EXCESS,
        "copydesk_app has TRUNCATE on it",
    ),
}

_COLUMNS = (
    "id uuid DEFAULT uuidv7() PRIMARY KEY, project_id uuid, title text,"
    " CONSTRAINT one_title UNIQUE (title)"
)
_GRANTED = "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {table} TO copydesk_app"

NAMES = {
    "table": "notes",
    "table in another schema": "attic.notes",
    "table whose name needs quotes": '"The Notes"',
}


def made(table: str, parts: set[str]) -> str:
    """Return the statements that make a table with these of its parts."""
    statements = [f"CREATE TABLE {table} ({_COLUMNS})", _GRANTED]
    statements += [part.statement for name, part in PARTS.items() if name in parts]
    return ";".join(statements).replace("{table}", table)


@pytest.mark.parametrize("table", [*NAMES.values()], ids=[*NAMES])
async def test_a_complete_table_passes(bench: Bench, table: str) -> None:
    """The gate knows a project-owned table by its column, also one that the models do not know."""
    database = await bench.database()
    await by_hand(database, "CREATE SCHEMA attic")
    try:
        await by_hand(database, made(table, set(PARTS)))

        examination = await examined(database)

        assert examination.findings == []
        assert table in examination.checked["project_owned_tables"]
    finally:
        await bench.throw_away()


@pytest.mark.parametrize("left_out", PARTS)
@pytest.mark.parametrize("table", [*NAMES.values()], ids=[*NAMES])
async def test_a_table_without_one_of_its_parts_turns_the_gate_red(
    bench: Bench, table: str, left_out: str
) -> None:
    """Whatever is forgotten when a table is added is named with the table, and can be mended."""
    database = await bench.database()
    part = PARTS[left_out]
    await by_hand(database, "CREATE SCHEMA IF NOT EXISTS attic")
    await by_hand(database, made(table, set(PARTS) - {left_out}))
    try:
        findings = (await examined(database)).findings

        told = [each for each in findings if each.code == part.rule]
        assert [each.sentence.startswith(f"{table}: ") for each in told] == [True]
        assert part.words in told[0].sentence
        assert {each.code for each in findings} - {part.rule} <= {Rule.READ_PAST_RLS}

        await by_hand(database, told[0].remedy)
        assert (await examined(database)).findings == []
    finally:
        await by_hand(database, f"DROP TABLE {table}; DROP SCHEMA attic CASCADE")


@settings(
    max_examples=25,
    deadline=None,  # how long a database takes is no fault of the gate
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(parts=st.sets(st.sampled_from([*PARTS])))
async def test_every_part_that_is_left_out_is_told(bench: Bench, parts: set[str]) -> None:
    """Faults do not hide each other: all of them are in one report."""
    database = await bench.database()
    await by_hand(database, made("notes", parts))
    try:
        findings = (await examined(database)).findings
    finally:
        await by_hand(database, "DROP TABLE notes")

    told = {(each.code, each.sentence) for each in findings}
    for name, part in PARTS.items():
        is_told = any(code == part.rule and part.words in words for code, words in told)
        assert is_told is (name not in parts), (name, told)


_PARENT = ("not null", "key to projects", "enabled", "forced", "guard", "access")
_PARENT_MADE = ";".join(
    [
        "CREATE TABLE notes (title text, project_id uuid) {how}",
        *(PARTS[part].statement.replace("{table}", "notes") for part in _PARENT),
    ]
)


@pytest.mark.parametrize(
    ("how", "child", "keeps_the_key"),
    [
        ("PARTITION BY LIST (title)", "PARTITION OF notes FOR VALUES IN ('a')", True),
        ("", "() INHERITS (notes)", False),
    ],
    ids=["partition", "inheritance child"],
)
async def test_a_child_needs_protection_of_its_own(
    bench: Bench, how: str, child: str, keeps_the_key: bool
) -> None:
    """Policies of a parent hold for whoever goes through the parent, and for nobody else."""
    database = await bench.database()
    try:
        await by_hand(database, _PARENT_MADE.replace("{how}", how))
        assert (await examined(database)).findings == []

        await by_hand(database, f"CREATE TABLE late {child}; GRANT SELECT ON late TO copydesk_app")
        findings = (await examined(database)).findings

        assert {each.subject for each in findings} == {"late"}
        assert {each.code for each in findings} == {
            *(Rule.RLS_DISABLED, Rule.RLS_NOT_FORCED, Rule.POLICY_MISSING, Rule.READ_PAST_RLS),
            *(() if keeps_the_key else (Rule.PROJECT_KEY,)),
        }
        for finding in findings:
            if finding.code != Rule.READ_PAST_RLS:
                await by_hand(database, finding.remedy)
        assert (await examined(database)).findings == []
    finally:
        await bench.throw_away()
