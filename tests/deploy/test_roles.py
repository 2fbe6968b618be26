"""roles.sql, run for real: roles with passwords, and nothing left for an administrator."""

import asyncpg
import pytest

from models.roles import APP, LOGINS, SEARCH
from tests.deploy.composefile import SECRETS
from tests.deploy.site import PASSWORDS, Site
from worker import migrate

OTHER = "another-password-0123456789"


async def who(url: str) -> str:
    """Log in and return the role."""
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


async def verifiers(site: Site) -> dict[str, str]:
    """Return what PostgreSQL keeps of each role's password."""
    rows = await site.ask("SELECT rolname, rolpassword FROM pg_authid WHERE rolname ~ '^copydesk_'")
    return {row["rolname"]: row["rolpassword"] for row in rows}


async def test_each_role_logs_in_with_its_own_password_only(site: Site) -> None:
    """A role's password opens that role and no other."""
    for role in LOGINS:
        assert await who(site.url(role)) == role
        for other in set(LOGINS) - {role}:
            with pytest.raises(asyncpg.InvalidPasswordError):
                await who(site.url(role, PASSWORDS[other]))


async def test_nobody_logs_in_as_the_search_role(site: Site) -> None:
    """It has no password, and may not log in with one either."""
    assert await site.ask(
        f"SELECT FROM pg_authid WHERE rolname = '{SEARCH}' AND NOT rolcanlogin"
        " AND rolpassword IS NULL"
    )
    for password in PASSWORDS.values():
        with pytest.raises(asyncpg.PostgresError) as refused:
            await who(site.url(SEARCH, password))
        assert refused.value.sqlstate.startswith("28")


async def test_passwords_are_kept_as_scram_verifiers(site: Site) -> None:
    """PostgreSQL keeps something to check a password with, not the password."""
    kept = await verifiers(site)
    assert {role for role, verifier in kept.items() if verifier} == set(LOGINS)
    assert all(kept[role].startswith("SCRAM-SHA-256$") for role in LOGINS)


async def test_no_password_shows_in_the_log_or_in_the_statistics(site: Site) -> None:
    """Even on a server that logs and counts every statement, passwords leave no trace."""
    statistics = str(await site.ask("SELECT query FROM pg_stat_statements"))
    assert "CREATE DATABASE" in site.log
    assert "pg_reload_conf" in statistics
    for password in PASSWORDS.values():
        assert password not in site.log
        assert password not in statistics


async def test_the_owner_can_do_the_rest(site: Site) -> None:
    """The migration runs as copydesk_owner, leaves nothing unrepaired, and a second one is fine."""
    url = site.url("copydesk_owner")
    assert await migrate.upgrade(url) == []
    assert await migrate.check(url) == []
    assert await migrate.upgrade(url) == []
    extensions = {row["extname"] for row in await site.ask("SELECT extname FROM pg_extension")}
    assert {"pg_stat_statements", "pg_trgm"} <= extensions


async def test_running_it_again_changes_the_passwords(site: Site) -> None:
    """A password is changed by a second run; the old one opens nothing any more."""
    changed = site.prepare(SECRETS | {"COPYDESK_APP_PASSWORD": OTHER})
    try:
        assert changed.returncode == 0, changed.stderr
        assert await who(site.url(APP, OTHER)) == APP
        with pytest.raises(asyncpg.InvalidPasswordError):
            await who(site.url(APP))
    finally:
        assert site.prepare(SECRETS).returncode == 0
    assert await who(site.url(APP)) == APP
    assert OTHER not in site.log


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"COPYDESK_APP_PASSWORD": ""}, id="empty"),
        pytest.param({"COPYDESK_APP_PASSWORD": "tooshort-123456"}, id="short"),
        pytest.param({"COPYDESK_APP_PASSWORD": "hides/a@host:in-the-url"}, id="not for a URL"),
        pytest.param({"COPYDESK_APP_PASSWORD": "quoted'; SELECT 1; --"}, id="a quote"),
        pytest.param({"COPYDESK_APP_PASSWORD": "two\nlines-0123456789"}, id="two lines"),
        pytest.param(
            {"COPYDESK_APP_PASSWORD": SECRETS["COPYDESK_OWNER_PASSWORD"]}, id="another role's"
        ),
    ],
)
async def test_an_unusable_password_is_refused_and_not_repeated(
    site: Site, given: dict[str, str]
) -> None:
    """One sentence names the rule, no password is echoed, and the roles stay as they were."""
    before = await verifiers(site)
    done = site.prepare(SECRETS | given)
    assert done.returncode != 0
    assert "five different passwords of 16 or more letters" in done.stderr
    secrets = filter(None, (SECRETS | given).values())
    assert not any(secret in done.stdout + done.stderr + site.log for secret in secrets)
    assert await verifiers(site) == before
