"""The SQL of every migration, up and down, under squawk's rules for schemas that are in use.

squawk knows what a statement locks, what rewrites a table, what cannot be repeated after a cut, and
what breaks clients. What it finds is mended, or accepted below with the reason.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrations.session import SESSION
from models.tables import Base
from tests.migrations.schemas import REVISIONS, ROOT

SQUAWK = Path(sys.executable).with_name("squawk")
STEP = re.compile(r"^(?=BEGIN;\n\n(?:CREATE TABLE alembic_version|-- Running))", re.MULTILINE)

# Statements that wait for all who use a table, and keep everybody out who comes after.
SHUTS_OUT = re.compile(
    r"^(?:(?:CREATE|DROP) (?:POLICY|TRIGGER) .*? ON|LOCK TABLE"
    r"|ALTER TABLE(?! \w+ (?:SET|RESET) \(|.* STATISTICS)) (?P<table>\w+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Finding:
    """What squawk says of one statement; `step` is a direction and a revision."""

    step: str
    line: int
    rule: str
    message: str


@dataclass(frozen=True)
class Accepted:
    """Findings that are no fault: of one rule, in these steps, with these words, for a reason."""

    rule: str
    steps: str
    reason: str
    words: str = ""

    def covers(self, finding: Finding) -> bool:
        """Whether this finding is one of them."""
        named = re.fullmatch(self.steps, finding.step) and self.words in finding.message
        return self.rule == finding.rule and bool(named)


ACCEPTED = (
    Accepted("prefer-text-field", "up 0001_initial", "the tables are given with their lengths"),
    Accepted("prefer-bigint-over-int", "up 0001_initial", "counts attempts, versions and steps"),
    Accepted("prefer-bigint-over-smallint", "up 0001_initial", "a priority is -100 to 100"),
    Accepted("ban-drop-function", "up 0002_.*", "only moves call it, and they change with it"),
    Accepted("renaming-object", ".*", "no client names an index", words="Renaming an index"),
    Accepted("ban-drop-function", "down .*", "a step back takes away what the step has made"),
    Accepted("ban-drop-table", "down .*", "a step back takes away what the step has made"),
)


def squawk(directory: Path, steps: dict[str, str]) -> list[Finding]:
    """Return all that squawk finds in these scripts."""
    names = []
    for step, sql in steps.items():
        names.append(directory / f"{step}.sql")
        names[-1].write_text(sql, "utf-8")
    # Its own, or one further up would count.
    (directory / ".squawk.toml").write_text('pg_version = "18.0"\n', "utf-8")
    command = [str(SQUAWK), "--reporter", "json", *map(str, names)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory)
    assert done.returncode in {0, 1}, done.stderr
    return [
        Finding(Path(each["file"]).stem, each["line"], each["rule_name"], each["message"])
        for each in json.loads(done.stdout)
    ]


def written_out(direction: str) -> dict[str, str]:
    """Return the SQL of all steps up or down, each with what every migration runs under."""
    revisions = {"upgrade": "head", "downgrade": "head:base"}[direction]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini"),
            *(direction, revisions, "--sql"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    session, *steps = STEP.split(done.stdout)
    found = {}
    for step in steps:
        before, after = re.findall(r"^-- Running \w+ (\w*) -> (\w*)", step, flags=re.MULTILINE)[0]
        name = f"up {after}" if direction == "upgrade" else f"down {before}"
        found[name] = session + step
    return found


def late(sql: str) -> list[str]:
    """Return the tables that are shut before `agent_executions` where both are; each once."""
    tables = list(dict.fromkeys(match["table"] for match in SHUTS_OUT.finditer(sql)))
    project_owned = [table for table in tables if table in Base.metadata.tables]
    first = "agent_executions"
    return project_owned[: project_owned.index(first)] if first in project_owned else []


@pytest.fixture(scope="module")
def steps() -> dict[str, str]:
    """The SQL of all steps, both ways."""
    found = written_out("upgrade") | written_out("downgrade")
    assert set(found) == {f"{way} {each}" for way in ("up", "down") for each in REVISIONS}
    return found


@pytest.fixture(scope="module")
def findings(steps: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """All that is found in all steps, both ways."""
    return squawk(tmp_path_factory.mktemp("sql"), steps)


def test_no_migration_breaks_a_rule_of_squawks(findings: list[Finding]) -> None:
    """Nobody is locked out for long, a cut can be mended, and yesterday's code goes on."""
    assert [each for each in findings if not any(why.covers(each) for why in ACCEPTED)] == []


@pytest.mark.parametrize("accepted", ACCEPTED, ids=lambda each: f"{each.rule} in {each.steps}")
def test_no_exception_outlives_its_reason(findings: list[Finding], accepted: Accepted) -> None:
    """What is not found any more is taken off the list."""
    assert any(accepted.covers(each) for each in findings)


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("require-concurrent-index-creation", "CREATE INDEX idx ON jobs (a)"),
        ("require-concurrent-index-deletion", "DROP INDEX idx"),
        ("constraint-missing-not-valid", "ALTER TABLE jobs ADD CONSTRAINT c CHECK (a > 0)"),
        ("disallowed-unique-constraint", "ALTER TABLE jobs ADD COLUMN b text UNIQUE"),
        ("adding-not-nullable-field", "ALTER TABLE jobs ALTER COLUMN a SET NOT NULL"),
        ("changing-column-type", "ALTER TABLE jobs ALTER COLUMN a TYPE text"),
        ("ban-drop-column", "ALTER TABLE jobs DROP COLUMN a"),
        ("renaming-column", "ALTER TABLE jobs RENAME COLUMN a TO b"),
    ],
)
def test_a_migration_that_breaks_a_rule_would_be_seen(
    rule: str, statement: str, tmp_path: Path
) -> None:
    """The rules that matter most here are on, and none of them is accepted as a whole."""
    script = "\n".join(f"{each};" for each in (*SESSION, "BEGIN", statement, "COMMIT"))
    found = squawk(tmp_path, {"up 0099_bad": script})
    assert [each.rule for each in found] == [rule]
    assert not any(why.covers(found[0]) for why in ACCEPTED)


def test_the_table_that_moves_begin_with_is_shut_first(steps: dict[str, str]) -> None:
    """Otherwise a move that has it waits for the migration, and the migration for the move."""
    in_use = {step: sql for step, sql in steps.items() if REVISIONS[0] not in step}
    assert {step: late(sql) for step, sql in in_use.items() if late(sql)} == {}


def test_a_table_that_is_shut_too_early_would_be_seen() -> None:
    """By a policy, a trigger, a constraint; settings of storage and statistics shut nobody out."""
    last = "ALTER TABLE agent_executions ADD COLUMN a text;"
    for early in (
        "DROP POLICY project_guard ON exports;",
        "CREATE TRIGGER t BEFORE UPDATE ON exports FOR EACH ROW EXECUTE FUNCTION f();",
        "ALTER TABLE exports ADD CONSTRAINT c CHECK (a > 0) NOT VALID;",
        "ALTER TABLE exports ALTER COLUMN status SET DEFAULT 'x';",
    ):
        assert late(f"{early}\n{last}") == ["exports"]
        assert late(f"LOCK TABLE agent_executions;\n{early}\n{last}") == []
    for harmless in (
        "ALTER TABLE exports SET (fillfactor = 60);",
        "ALTER TABLE exports ALTER COLUMN status SET STATISTICS 0;",
    ):
        assert late(f"{harmless}\n{last}") == []


@pytest.mark.parametrize("left_out", ["lock_timeout", "statement_timeout"])
def test_a_migration_without_its_time_limits_would_be_seen(left_out: str, tmp_path: Path) -> None:
    """Every migration runs with a lock_timeout and a statement_timeout."""
    kept = [each for each in SESSION if left_out not in each]
    script = "\n".join(f"{each};" for each in (*kept, "ALTER TABLE jobs ADD COLUMN a text"))
    found = squawk(tmp_path, {"up 0099_bad": script})
    assert f"require-{left_out.replace('_', '-')}" in {each.rule for each in found}
