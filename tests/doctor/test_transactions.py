"""Old transactions, and who sees them."""

import asyncio

import asyncpg
import pytest
from pydantic import SecretStr

from models.roles import APP
from tests.doctor.breakage import examined, of
from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker.doctor import CheckName
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule
from worker.errors import SettingsError
from worker.settings import Settings

AT_ONCE = Limits(transaction=0, idle=0)


async def test_a_session_that_sits_in_a_transaction_is_found_and_ended(
    seeing: Settings, database: DatabaseUrls
) -> None:
    """It is named by its process, and the remedy ends it."""
    forgotten = await asyncpg.connect(database.app)
    await forgotten.execute("BEGIN; SELECT 1")
    pid = forgotten.get_server_pid()

    seen = await examined(seeing, CheckName.TRANSACTIONS, limits=AT_ONCE)

    [finding] = of(Rule.TRANSACTION_IDLE, seen)
    assert finding.subject == f"session {pid}"
    assert APP in finding.sentence
    await database.ask(finding.remedy)
    await until(forgotten.is_closed, what="the session is ended")
    after = await examined(seeing, CheckName.TRANSACTIONS, limits=AT_ONCE)
    assert of(Rule.TRANSACTION_IDLE, after) == []


async def test_an_old_transaction_is_found_while_it_works(
    seeing: Settings, database: DatabaseUrls
) -> None:
    """A statement that waits for a lock is not idle; its transaction is old all the same."""
    async with database.oracle() as holder, database.oracle() as waiter:
        await holder.execute("BEGIN; LOCK TABLE users")
        await waiter.execute("BEGIN")
        locked = asyncio.ensure_future(waiter.execute("LOCK TABLE users"))
        subject = f"session {waiter.get_server_pid()}"

        async def old() -> bool:
            seen = await examined(seeing, CheckName.TRANSACTIONS, limits=AT_ONCE)
            return subject in {each.subject for each in of(Rule.TRANSACTION_OLD, seen)}

        await until(old, what="the waiting transaction is found")
        await holder.execute("ROLLBACK")
        await locked


async def test_the_running_roles_do_not_see_the_sessions_of_others(settings: Settings) -> None:
    """What was not looked at is said, with who would see it; it is never silently right."""
    seen = await examined(settings, CheckName.TRANSACTIONS, limits=AT_ONCE)

    [finding] = of(Rule.NOT_VISIBLE, seen)
    assert finding.sentence.startswith("not checked: transactions of sessions of other roles")
    assert "COPYDESK_MONITOR_URL" in finding.remedy
    assert seen.status == "notice"


async def test_a_monitor_that_sees_too_little_is_told_what_it_lacks(
    settings: Settings, database: DatabaseUrls
) -> None:
    """Membership in pg_monitor is all it takes."""
    monitor = f"monitor_{database.name}"
    await database.ask(f"CREATE ROLE {monitor} LOGIN")
    try:
        given = settings.model_copy(update={"monitor_url": SecretStr(database.as_role(monitor))})
        [finding] = of(Rule.NOT_VISIBLE, await examined(given, CheckName.TRANSACTIONS))
        await database.ask(finding.remedy)
        after = await examined(given, CheckName.TRANSACTIONS)
        others = await examined(given, CheckName.STATEMENTS)
    finally:
        await database.ask(f"DROP OWNED BY {monitor}")
        await database.ask(f"DROP ROLE {monitor}")

    assert finding.remedy == f"GRANT pg_monitor TO {monitor}"
    assert of(Rule.NOT_VISIBLE, after) == []
    assert of(Rule.NOT_VISIBLE, others) == []


async def test_a_monitor_of_another_database_is_refused(settings: Settings, admin_url: str) -> None:
    """Figures of another database would be taken for this one's."""
    given = settings.model_copy(update={"monitor_url": SecretStr(admin_url)})
    with pytest.raises(SettingsError, match="COPYDESK_MONITOR_URL leads to another database"):
        await examined(given, CheckName.TRANSACTIONS)
