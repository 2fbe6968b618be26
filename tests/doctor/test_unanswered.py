"""What cannot be checked is said, with the reason; it is never silently right."""

import pytest
from pydantic import SecretStr

from tests.doctor.breakage import examined, of
from tests.doctor.source import rules_in_tests
from tests.support.databases import DatabaseUrls
from worker.doctor import CheckName
from worker.doctor.checks import CHECKS, examine
from worker.doctor.durability import Setting
from worker.doctor.eyes import Eyes
from worker.doctor.rules import Rule
from worker.doctor.server import judge_upkeep, too_old
from worker.errors import CopydeskError, SettingsError
from worker.settings import Settings, secret

NOWHERE = SecretStr("postgresql://u:hunter2@127.0.0.1:1/x")
NO_REDIS = SecretStr("redis://:hunter2@127.0.0.1:1/0")
OF_REDIS = {"redis", "queue"}


async def test_a_migrated_database_is_healthy_in_every_check(seeing: Settings) -> None:
    """Nothing to mend is said only after a look; each check tells what it saw."""
    examinations = await examine(seeing)

    assert [each.name for each in examinations] == [*CheckName] == [*CHECKS]
    assert [finding for each in examinations for finding in each.errors] == []
    assert {each.not_checked for each in examinations} == {None}
    assert all(each.facts or each.checked for each in examinations)


async def test_a_postgres_that_is_down_is_one_finding(settings: Settings) -> None:
    """Told once, by the first check that needs it; the others say why they did not look."""
    given = settings.model_copy(update={"database_url": NOWHERE, "dispatch_url": NOWHERE})

    examinations = await examine(given)

    findings = [finding for each in examinations for finding in each.findings]
    assert [each.code for each in findings if each.severity == "error"] == [Rule.CHECK_UNANSWERED]
    blind = {each.name for each in examinations if each.status == "not_checked"}
    assert blind == set(CheckName) - OF_REDIS
    assert all(
        "COPYDESK_DATABASE_URL: PostgreSQL did not answer" in str(each.not_checked)
        for each in examinations
        if each.name not in OF_REDIS
    )
    assert "hunter2" not in str(examinations)


async def test_a_redis_that_is_down_leaves_postgres_to_look_at(settings: Settings) -> None:
    """Postgres remembers, so what it says is worth knowing."""
    examinations = await examine(settings.model_copy(update={"redis_url": NO_REDIS}))

    blind = {each.name: each for each in examinations if each.status == "not_checked"}
    assert set(blind) == OF_REDIS
    [finding] = of(Rule.CHECK_UNANSWERED, blind["redis"])
    assert finding.sentence.startswith("not checked: Redis did not answer (")
    assert "hunter2" not in str(examinations)


async def test_one_role_that_gets_no_answer_stops_its_checks_only(settings: Settings) -> None:
    """The URL that leads nowhere is named."""
    examinations = await examine(settings.model_copy(update={"dispatch_url": NOWHERE}))

    told = {each.name: each.not_checked for each in examinations}
    assert "COPYDESK_DISPATCH_URL" in str(told[CheckName.WORK])
    assert told[CheckName.SCHEMA] is None
    assert told[CheckName.CLOCK] is None


async def test_a_login_that_is_refused_is_an_error(
    settings: Settings, database: DatabaseUrls
) -> None:
    """The server is there, so trying again does not help."""
    given = settings.model_copy(update={"database_url": SecretStr(database.as_role("nobody_here"))})
    [finding] = of(Rule.CHECK_FAILED, await examined(given, CheckName.SCHEMA))
    assert "does not let this role in" in finding.sentence


async def test_a_redis_that_refuses_the_login_is_an_error(settings: Settings) -> None:
    """Redis's own words may hold values, and are not repeated."""
    address = secret(settings.redis_url).rpartition("@")[2]
    given = settings.model_copy(update={"redis_url": SecretStr(f"redis://:hunter2@{address}")})
    [finding] = of(Rule.CHECK_FAILED, await examined(given, CheckName.QUEUE))
    assert "Redis refused the login" in finding.sentence


async def test_a_table_that_is_locked_is_not_waited_for(
    settings: Settings, database: DatabaseUrls
) -> None:
    """The doctor gives up first, and nobody has to wait behind it."""
    async with database.oracle() as holder, holder.transaction():
        await holder.execute("LOCK TABLE alembic_version")
        seen = await examined(settings, CheckName.SCHEMA)
        connections = await examined(settings, CheckName.CONNECTIONS)

    assert seen.status == "not_checked"
    assert of(Rule.CHECK_UNANSWERED, seen)
    assert connections.status == "ok"


@pytest.mark.parametrize(
    ("name", "value"), [("lock_timeout", "500ms"), ("statement_timeout", "3s")]
)
async def test_every_look_is_short(database: DatabaseUrls, name: str, value: str) -> None:
    """Whoever waits for a lock makes others wait behind, so it waits less than it may work."""
    async with Eyes(database.app, "COPYDESK_DATABASE_URL") as eyes:
        [row] = await eyes.call("SELECT current_setting($1) AS value", name)
    assert row["value"] == value


async def test_urls_that_are_needed_are_asked_for_and_no_others(settings: Settings) -> None:
    """Redis alone needs no database, and the database no Redis."""
    no_redis = settings.model_copy(update={"redis_url": None})
    assert (await examined(no_redis, CheckName.SCHEMA)).status == "ok"
    no_postgres = settings.model_copy(update={"database_url": None, "dispatch_url": None})
    assert (await examined(no_postgres, CheckName.QUEUE)).status == "ok"
    with pytest.raises(SettingsError, match="COPYDESK_REDIS_URL"):
        await examine(no_redis)


async def test_the_doctors_connection_cannot_write(database: DatabaseUrls) -> None:
    """Not even as the superuser."""
    eyes = Eyes(database.admin, "COPYDESK_MONITOR_URL")
    async with eyes:
        await eyes.open()
        with pytest.raises(CopydeskError):
            await eyes.call("DELETE FROM alembic_version")
        [row] = await eyes.call("SELECT count(*)::int AS number FROM alembic_version")
    assert row["number"] == 1


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("autovacuum", "off", Rule.AUTOVACUUM_OFF),
        ("track_counts", "off", Rule.AUTOVACUUM_OFF),
        ("data_checksums", "off", Rule.CHECKSUMS_OFF),
        ("io_method", "sync", Rule.IO_SYNCHRONOUS),
    ],
)
def test_what_upkeep_rests_on(name: str, value: str, rule: Rule) -> None:
    """One setting is wrong, and one finding says so."""
    right = {
        "autovacuum": "on",
        "track_counts": "on",
        "data_checksums": "on",
        "io_method": "worker",
    }
    settings = {key: Setting(told, "default", "sighup") for key, told in right.items()}
    assert [*judge_upkeep(settings)] == []
    settings[name] = Setting(value, "default", "sighup")
    assert [each.code for each in judge_upkeep(settings)] == [rule]


def test_an_old_server_is_told_to_be_upgraded() -> None:
    """The gate's rule, with the same code."""
    finding = too_old(170_006)
    assert (finding.code, finding.severity) == ("server_version", "error")
    assert finding.sentence == "PostgreSQL 18 or newer is needed, not 17"


def test_every_rule_is_named_by_a_test() -> None:
    """No rule is there that no test speaks of."""
    assert rules_in_tests() == {rule.name for rule in Rule}
