"""The gate: nothing is wrong with a migrated database, and whatever is broken by hand is named."""

from dataclasses import replace

import pytest

from models.roles import APP, BACKUP, DISPATCH, MAINTENANCE, SEARCH
from tests.isolation.gate.breakage import Breakage, by_hand, goes_red
from tests.isolation.gate.harmless import HARMLESS
from tests.isolation.gate.keys import KEYS
from tests.isolation.gate.policies import POLICIES, SWITCHES
from tests.isolation.gate.privileges import PRIVILEGES
from tests.isolation.gate.roles import ROLES
from tests.isolation.gate.routes import ROUTES
from tests.isolation.gate.site import Bench, examined
from tests.isolation.gate.tables import TABLES
from tests.support.databases import DatabaseUrls, clone, drop
from worker.findings import Severity
from worker.gate import Rule, examine_isolation
from worker.gate.declared import PROJECT_OWNED
from worker.gate.expected import DECLARED_TRIGGERS, EXEMPTIONS, NO_PROJECT_DATA
from worker.gate.expected import ROLES as EXPECTED
from worker.gate.roles import read_connected, wrong_servers
from worker.ledger import MovePool

BREAKAGES = {**POLICIES, **SWITCHES, **TABLES, **KEYS, **PRIVILEGES, **ROLES, **ROUTES}

# What a role must never hold, whatever the models say; and what none that runs a process may.
FORBIDDEN = {"TRUNCATE", "REFERENCES", "TRIGGER"}
OPERATORS = {"MAINTAIN", "DELETE"}
# A worker deletes its own presence.
PRESENCE = "workers"


async def test_nothing_is_wrong_with_a_migrated_database(bench: Bench) -> None:
    """What `copydesk db upgrade` makes passes, and the gate says what it looked at."""
    examination = await examined(await bench.database())

    assert examination.findings == []
    assert examination.checked["roles"] == [APP, DISPATCH, MAINTENANCE, SEARCH, BACKUP]
    assert sorted(examination.checked["project_owned_tables"]) == sorted(PROJECT_OWNED)
    assert sorted(examination.checked["other_tables"]) == sorted(NO_PROJECT_DATA)
    assert set(examination.checked["rules"]) == set(Rule)


@pytest.mark.parametrize("breakage", [*BREAKAGES.values()], ids=[*BREAKAGES])
async def test_whatever_is_broken_by_hand_turns_the_gate_red(
    bench: Bench, breakage: Breakage
) -> None:
    """One thing is broken, the gate names it and nothing else, and its remedy mends it."""
    await goes_red(bench, breakage)


def test_every_rule_is_broken_by_some_hand() -> None:
    """No rule is there that nobody saw red; those of servers and logins have tests of their own."""
    others = {Rule.SERVER_VERSION, Rule.DATABASES_DIFFER, Rule.ROLE_WRONG}
    assert {breakage.rules[0] for breakage in BREAKAGES.values()} | {
        Rule.READ_PAST_RLS,
        *others,
    } == set(Rule)
    assert any(Rule.READ_PAST_RLS in breakage.rules for breakage in BREAKAGES.values())


def test_what_is_expected_opens_nothing() -> None:
    """The tables of expectations hold themselves to the rules they stand for."""
    for role in EXPECTED.values():
        assert FORBIDDEN.isdisjoint(role.others)
        assert all(FORBIDDEN.isdisjoint(granted) for granted in role.tables.values())
    for name in (APP, DISPATCH):
        granted = [held for table, held in EXPECTED[name].tables.items() if table != PRESENCE]
        assert all(OPERATORS.isdisjoint(held) for held in granted)
    assert EXPECTED[MAINTENANCE].memberships.isdisjoint(EXPECTED)
    assert all(
        EXPECTED[MAINTENANCE].tables[table].get("UPDATE", frozenset()) is not None
        for table in PROJECT_OWNED
    )
    dispatch = EXPECTED[DISPATCH]
    assert [*dispatch.tables] == ["agent_executions"]
    assert dispatch.tables["agent_executions"]["UPDATE"] == frozenset({"lease_expires_at"})
    assert {each.role for each in EXEMPTIONS} == {DISPATCH, SEARCH}
    for name in (SEARCH, BACKUP):
        assert all([*held] == ["SELECT"] for held in EXPECTED[name].tables.values())
    seen = EXPECTED[SEARCH].tables["document_versions"]["SELECT"]
    assert seen is not None
    assert "content" not in seen
    assert "rolcanlogin" not in EXPECTED[SEARCH].attributes
    assert [role.name for role in EXPECTED.values() if "rolbypassrls" in role.attributes] == [
        BACKUP
    ]
    assert all(each.reason for each in EXEMPTIONS)
    assert all(NO_PROJECT_DATA.values())
    assert set(NO_PROJECT_DATA).isdisjoint(PROJECT_OWNED)
    assert ("projects", "touch_project") in DECLARED_TRIGGERS


@pytest.mark.parametrize("by_the_way", [*HARMLESS.values()], ids=[*HARMLESS])
async def test_what_opens_nothing_stays_green(broken: DatabaseUrls, by_the_way: str) -> None:
    """An administrator may have things of their own; only what opens a project is a finding."""
    await by_hand(broken, by_the_way)

    assert (await examined(broken)).findings == []


async def test_a_login_that_is_a_member_of_the_expected_role_passes(broken: DatabaseUrls) -> None:
    """Services have logins of their own."""
    await by_hand(broken, "CREATE ROLE gate_service LOGIN IN ROLE copydesk_app")
    try:
        assert (await examined(broken, app=broken.as_role("gate_service"))).findings == []

        await by_hand(broken, "GRANT TRUNCATE ON exports TO gate_service")
        [finding] = (await examined(broken, app=broken.as_role("gate_service"))).findings
        assert finding.sentence == "exports: gate_service has TRUNCATE on it, and must not"

        # SET ROLE would give it what the role has that it stands for.
        await by_hand(broken, "REVOKE TRUNCATE ON exports FROM gate_service")
        await by_hand(broken, "CREATE SCHEMA mine AUTHORIZATION copydesk_app")
        await by_hand(broken, "ALTER ROLE copydesk_app BYPASSRLS")
        findings = (await examined(broken, app=broken.as_role("gate_service"))).findings
        assert {each.code for each in findings} == {
            *(Rule.ROLE_ATTRIBUTE, Rule.ROLE_OWNS, Rule.ROLE_CREATES)
        }
    finally:
        await by_hand(broken, "ALTER ROLE copydesk_app NOBYPASSRLS")
        await by_hand(broken, "DROP OWNED BY gate_service; DROP ROLE gate_service")


async def test_a_wrong_login_is_named_with_the_right_one(bench: Bench) -> None:
    """URLs that were mixed up are found out before anything else is said of them."""
    database = await bench.database()

    findings = (await examined(database, dispatch=database.app)).findings

    assert [finding.code for finding in findings] == [Rule.ROLE_WRONG]
    assert (
        findings[0].sentence == "the role copydesk_app is not copydesk_dispatch, nor a member of it"
    )
    assert findings[0].remedy.startswith("connect as copydesk_dispatch")


@pytest.mark.parametrize(
    ("setting", "rule", "words"),
    [
        (
            "app.project_id=0198c0de-0000-7000-8000-0000000000aa",
            Rule.SCOPE_DEFAULT,
            "has a default",
        ),
        ("row_security=off", Rule.SETTING_UNSAFE, "row_security of copydesk_app is off, not on"),
        (
            "search_path=pg_catalog",
            Rule.SETTING_UNSAFE,
            "search_path of copydesk_app",
        ),
    ],
)
async def test_a_url_that_brings_a_setting_is_found_out(
    bench: Bench, setting: str, rule: Rule, words: str
) -> None:
    """What a new connection shows counts, wherever it comes from."""
    database = await bench.database()

    findings = (await examined(database, app=f"{database.app}&{setting}")).findings

    assert {finding.code for finding in findings} == {rule}
    assert words in findings[0].sentence


async def test_roles_in_different_databases_are_found_out(bench: Bench, gate_server: str) -> None:
    """What one of them finds, the other could not move; and only one database was looked at."""
    database, other = await bench.database(), await clone(gate_server)
    try:
        [finding] = (await examined(database, dispatch=other.dispatch)).findings
    finally:
        await drop(gate_server, other.name)

    assert finding.code == Rule.DATABASES_DIFFER


async def test_an_old_server_is_refused_without_asking_it_more(bench: Bench) -> None:
    """Its catalog has not all that is asked for."""
    async with MovePool((await bench.database()).app, size=1) as pool:
        connected = await read_connected(pool, APP)

    [finding] = wrong_servers([replace(connected, server_version=170_006)])

    assert finding.code == Rule.SERVER_VERSION
    assert finding.sentence == "PostgreSQL 18 or newer is needed, not 17"


async def test_a_warning_is_no_error(broken: DatabaseUrls) -> None:
    """What an administrator may want is shown, and stops nobody."""
    await by_hand(broken, "CREATE PUBLICATION copy FOR TABLE exports")

    examination = await examined(broken)

    assert [finding.severity for finding in examination.findings] == [Severity.WARNING]
    assert examination.errors == []


async def test_looking_leaves_no_setting_behind_and_waits_for_no_writer(bench: Bench) -> None:
    """The gate runs on the worker's own connections, while others write."""
    database = await bench.database()
    async with (
        database.oracle() as writer,
        writer.transaction(),
        MovePool(f"{database.app}&lock_timeout=100ms", size=1) as app,
        MovePool(f"{database.dispatch}&lock_timeout=100ms", size=1) as dispatch,
    ):
        for table in (*PROJECT_OWNED, *NO_PROJECT_DATA):
            await writer.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")

        assert (await examine_isolation({APP: app, DISPATCH: dispatch})).findings == []

        for pool in (app, dispatch):
            [row] = await pool.call(
                "SELECT current_setting('row_security') AS row_security,"
                " coalesce(current_setting('app.project_id', true), '') AS scope"
            )
            assert tuple(row) == ("on", "")
