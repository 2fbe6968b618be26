"""`copydesk doctor`: what it shows, and the exit codes that scripts and CI rely on."""

import asyncio
import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from tests.cli.conftest import Copydesk
from tests.support.databases import DatabaseUrls
from worker.doctor import CheckName
from worker.gate import Rule
from worker.settings import Settings, secret


@pytest.fixture
def doctor(copydesk: Copydesk, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Copydesk:
    """The command line with the URL that only workers and the doctor need."""
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", secret(settings.dispatch_url))
    return copydesk


def test_an_isolation_that_holds_has_nothing_to_mend(doctor: Copydesk) -> None:
    """One line that says so, one for the check that says what it looked at, exit code 0."""
    said = doctor("doctor", "--isolation")

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "nothing to mend",
        "",
        "check      status  what was seen",
        f"isolation  ok      5 roles, 5 project owned tables, 3 other tables, {len(Rule)} rules",
    ]


def test_a_healthy_copydesk_passes_every_check(
    doctor: Copydesk, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check has a line with what it saw; exit code 0."""
    monkeypatch.setenv("COPYDESK_MONITOR_URL", database.admin)
    monkeypatch.setenv("COPYDESK_ENVIRONMENT", "development")

    said = doctor("doctor")

    lines = said.out[said.out.index("check  ") :].splitlines()[1:]
    assert (said.code, said.err) == (0, "")
    assert [line.split()[0] for line in lines] == [*CheckName]
    assert {line.split()[1] for line in lines} <= {"ok", "notice", "warning"}
    assert all(len(line.split(None, 2)) == 3 for line in lines)
    assert "PostgreSQL 18" in said.out


@pytest.mark.usefixtures("doctor")
def test_the_program_itself_knows_all_tables(database: DatabaseUrls) -> None:
    """In a process of its own, where nothing but the command loads the models."""
    asyncio.run(by_hand(database, "DROP INDEX idx_executions_due"))
    command = [sys.executable, "-m", "worker", "doctor", "--only", "tables", "--only", "indexes"]

    told = subprocess.run(command, capture_output=True, text=True, check=False)

    assert told.returncode == 1, told.stderr
    assert "there is no index idx_executions_due" in told.stdout
    assert "7 tables, " in told.stdout


def test_only_the_named_checks_run(doctor: Copydesk) -> None:
    """The option may be given again, and beside `--isolation`; their order is always the same."""
    said = doctor("doctor", "--only", "clock", "--only", "schema", "--isolation", "--json")

    told = json.loads(said.out)
    assert said.code == 0
    assert [each["name"] for each in told["checks"]] == ["isolation", "schema", "clock"]
    assert {each["status"] for each in told["checks"]} == {"ok"}


def test_a_check_that_there_is_not_is_wrong_use(doctor: Copydesk) -> None:
    """Exit code 2, with the names that there are."""
    said = doctor("doctor", "--only", "weather")

    assert said.code == 2
    assert "transactions" in said.err


def test_errors_are_listed_with_their_remedies(doctor: Copydesk, database: DatabaseUrls) -> None:
    """Aligned plain lines in a pipe: severity, code, what is wrong, remedy; exit code 1."""
    asyncio.run(by_hand(database, "DROP POLICY project_guard ON exports"))
    asyncio.run(by_hand(database, "CREATE PUBLICATION copy FOR TABLE users, exports"))

    said = doctor("doctor", "--isolation")

    assert (said.code, said.err) == (1, "")
    heading, error, warning, _, _, check = said.out.splitlines()
    place = heading.index("what is wrong")
    assert error[place:].startswith("exports: has no restrictive policy on app.project_id  ")
    assert error.split()[:2] == ["error", "policy_missing"]
    assert error[heading.index("remedy") :].startswith("CREATE POLICY project_guard ON exports")
    assert warning.split()[:2] == ["warning", "publication"]
    assert warning[heading.index("remedy") :] == "DROP PUBLICATION copy"
    assert check.split()[:2] == ["isolation", "error"]


def test_a_warning_alone_is_no_failure(doctor: Copydesk, database: DatabaseUrls) -> None:
    """CI stays green on what an administrator may want."""
    asyncio.run(by_hand(database, "CREATE PUBLICATION copy FOR TABLE exports"))

    said = doctor("doctor", "--isolation")

    assert said.code == 0
    assert "warning" in said.out
    assert "nothing to mend" not in said.out


def test_json_has_the_findings_and_what_was_checked(
    doctor: Copydesk, database: DatabaseUrls
) -> None:
    """For programs: every field of a finding, and the same exit code."""
    healthy = doctor("doctor", "--isolation", "--json")
    asyncio.run(by_hand(database, "GRANT TRUNCATE ON exports TO copydesk_app"))
    broken = doctor("doctor", "--isolation", "--json")

    assert healthy.code == 0
    assert json.loads(healthy.out)["findings"] == []
    assert "exports" in json.loads(healthy.out)["checked"]["isolation"]["project_owned_tables"]
    assert broken.code == 1
    assert json.loads(broken.out)["findings"] == [
        {
            "check": "isolation",
            "code": "privilege_excess",
            "severity": "error",
            "subject": "exports",
            "sentence": "exports: copydesk_app has TRUNCATE on it, and must not",
            "remedy": "REVOKE TRUNCATE ON exports FROM copydesk_app",
        }
    ]


def test_a_database_that_does_not_answer_is_not_now(
    doctor: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3, so that CI can tell "broken" from "not there"; no password shows."""
    monkeypatch.setenv("COPYDESK_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")

    said = doctor("doctor", "--isolation", "--json")

    told = json.loads(said.out)
    assert (said.code, said.err) == (3, "")
    assert [each["code"] for each in told["findings"]] == ["check_unanswered"]
    assert told["checks"][0]["status"] == "not_checked"
    assert "PostgreSQL did not answer" in told["checks"][0]["not_checked"]
    assert "hunter2" not in said.out


def test_no_server_at_all_is_told_in_two_findings(
    doctor: Copydesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for PostgreSQL, one for Redis, and no traceback; every check says why it did not look."""
    for name in ("DATABASE", "DISPATCH"):
        monkeypatch.setenv(f"COPYDESK_{name}_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    monkeypatch.setenv("COPYDESK_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")

    said = doctor("doctor")

    assert (said.code, said.err) == (3, "")
    assert said.out.count("check_unanswered") == 2
    assert said.out.count("  not checked  ") == len(CheckName)
    assert "hunter2" not in said.out


def test_an_error_weighs_more_than_a_server_that_is_not_there(
    doctor: Copydesk, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again would not mend it: exit code 1, not 3."""
    asyncio.run(by_hand(database, "DROP INDEX idx_executions_due"))
    monkeypatch.setenv("COPYDESK_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")

    assert doctor("doctor").code == 1


def test_a_terminal_gets_a_list_in_colours(
    doctor: Copydesk, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What mends a finding stands on a line of its own; what is in the text colours nothing."""
    asyncio.run(by_hand(database, "DROP INDEX idx_executions_due"))
    asyncio.run(by_hand(database, 'CREATE INDEX "x[red]" ON agent_executions (requested_by)'))
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80, highlight=False)
    monkeypatch.setattr("worker.cli.doctor.console", lambda: terminal)

    said = doctor("doctor", "--only", "indexes")

    text = screen.getvalue()
    assert said.code == 1
    assert "\x1b[1;31merror" in text
    assert "CREATE INDEX CONCURRENTLY idx_executions_due ON agent_executions" in text
    assert "x[red]" in text


def test_colours_are_for_terminals_only(doctor: Copydesk, database: DatabaseUrls) -> None:
    """A pipe gets plain text."""
    asyncio.run(by_hand(database, "DROP INDEX idx_executions_due"))

    assert "\x1b" not in doctor("doctor", "--only", "indexes").out


def test_urls_that_are_missing_are_named(copydesk: Copydesk) -> None:
    """It looks with the eyes of both running roles."""
    said = copydesk("doctor")

    assert said.code == 2
    assert "COPYDESK_DISPATCH_URL" in said.err


def test_an_empty_database_is_told_how_to_go_on(
    doctor: Copydesk, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first mistake of everybody who installs it."""
    fresh = DatabaseUrls("fresh", empty_database)
    monkeypatch.setenv("COPYDESK_DATABASE_URL", fresh.app)
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", fresh.dispatch)

    said = doctor("doctor")

    assert said.code == 1
    assert "run `copydesk db upgrade`" in said.out


async def by_hand(database: DatabaseUrls, statement: str) -> None:
    """Execute a statement as the superuser."""
    async with database.oracle() as oracle:
        await oracle.execute(statement)
