"""`copydesk doctor`: what it shows, and the exit codes that scripts and CI rely on."""

import asyncio
import json

import pytest

from tests.cli.conftest import Copydesk
from tests.support.databases import DatabaseUrls
from worker.gate import Rule
from worker.settings import Settings, secret


@pytest.fixture
def doctor(copydesk: Copydesk, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Copydesk:
    """The command line with the URL that only workers and the doctor need."""
    monkeypatch.setenv("COPYDESK_DISPATCH_URL", secret(settings.dispatch_url))
    return copydesk


@pytest.mark.parametrize("options", [(), ("--isolation",)])
def test_a_healthy_copydesk_has_nothing_to_mend(doctor: Copydesk, options: tuple[str, ...]) -> None:
    """One line that says so, one for each check that says what it looked at, exit code 0."""
    said = doctor("doctor", *options)

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "nothing to mend",
        f"isolation: 3 roles, 5 project owned tables, 3 other tables, {len(Rule)} rules",
    ]


def test_errors_are_listed_with_their_remedies(doctor: Copydesk, database: DatabaseUrls) -> None:
    """Aligned plain lines in a pipe: severity, code, what is wrong, remedy; exit code 1."""
    asyncio.run(by_hand(database, "DROP POLICY project_guard ON exports"))
    asyncio.run(by_hand(database, "CREATE PUBLICATION copy FOR TABLE users, exports"))

    said = doctor("doctor", "--isolation")

    assert (said.code, said.err) == (1, "")
    heading, error, warning = said.out.splitlines()
    place = heading.index("what is wrong")
    assert error[place:].startswith("exports: has no restrictive policy on app.project_id  ")
    assert error.split()[:2] == ["error", "policy_missing"]
    assert error[heading.index("remedy") :].startswith("CREATE POLICY project_guard ON exports")
    assert warning.split()[:2] == ["warning", "publication"]
    assert warning[heading.index("remedy") :] == "DROP PUBLICATION copy"


def test_a_warning_alone_is_no_failure(doctor: Copydesk, database: DatabaseUrls) -> None:
    """CI stays green on what an administrator may want."""
    asyncio.run(by_hand(database, "CREATE PUBLICATION copy FOR TABLE exports"))

    said = doctor("doctor")

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

    assert (said.code, said.out) == (3, "")
    assert "hunter2" not in said.err
    assert said.err.count("\n") == 1


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
