"""The checks by name, and how they are run: one after the other, none stopped by another's fault.

To add one, write a function that looks at a `Site` and reports an `Examination`, and put it into
`CHECKS`; how it is shown, and what exit code follows, is the same for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from models.roles import APP, DISPATCH
from worker.doctor import CheckName
from worker.doctor.clock import clock
from worker.doctor.connections import connections
from worker.doctor.eyes import Eyes
from worker.doctor.indexes import indexes
from worker.doctor.limits import Limits
from worker.doctor.queue import queue
from worker.doctor.redis_server import redis
from worker.doctor.rules import Rule, broken
from worker.doctor.schema import schema
from worker.doctor.server import settings as server_settings
from worker.doctor.sight import FAULTS, Sight, is_unanswered, worded
from worker.doctor.site import Site
from worker.doctor.statements import statements
from worker.doctor.tables import tables
from worker.doctor.transactions import transactions
from worker.doctor.work import work
from worker.errors import CopydeskError, DatabaseUnavailableError, SettingsError
from worker.findings import Examination
from worker.gate import examine_isolation
from worker.queue.connection import open_redis
from worker.settings import Settings, secret

Check = Callable[[Site], Awaitable[Examination]]


async def isolation(site: Site) -> Examination:
    """Check that the database keeps projects apart."""
    return await examine_isolation(site.pools)


CHECKS: Mapping[CheckName, Check] = {
    CheckName.ISOLATION: isolation,
    CheckName.SCHEMA: schema,
    CheckName.SETTINGS: server_settings,
    CheckName.CONNECTIONS: connections,
    CheckName.TRANSACTIONS: transactions,
    CheckName.TABLES: tables,
    CheckName.INDEXES: indexes,
    CheckName.STATEMENTS: statements,
    CheckName.WORK: work,
    CheckName.CLOCK: clock,
    CheckName.REDIS: redis,
    CheckName.QUEUE: queue,
}
_NEED_REDIS = {CheckName.REDIS, CheckName.QUEUE}


async def examine(
    settings: Settings, names: Iterable[CheckName] = CHECKS, *, limits: Limits | None = None
) -> list[Examination]:
    """Run the checks of these names, in their own order; all of them where none are named.

    A server that does not answer is a finding, told once, and each check that needed it says so.

    Raises:
        SettingsError: a URL is missing, or cannot be used.
    """
    wanted = set(names)
    examinations: list[Examination] = []
    async with _site(settings, wanted, limits or Limits()) as site:
        for name, check in CHECKS.items():
            if name in wanted:
                told = {each.not_checked for each in examinations}
                examinations.append(await _run(name, check, site, told))
    return examinations


@asynccontextmanager
async def _site(settings: Settings, names: set[CheckName], limits: Limits) -> AsyncIterator[Site]:
    needs_redis = bool(names & _NEED_REDIS)
    needs_postgres = bool(names - _NEED_REDIS)
    settings.require(
        *(("database_url", "dispatch_url") if needs_postgres else ()),
        *(("redis_url",) if needs_redis else ()),
    )
    async with AsyncExitStack() as stack:

        async def eyes(name: str) -> Eyes:
            url = secret(getattr(settings, name))
            opened = await stack.enter_async_context(Eyes(url, f"COPYDESK_{name.upper()}"))
            await opened.open()
            return opened

        site = Site(settings, {}, limits=limits)
        if needs_postgres:
            pools = {APP: await eyes("database_url"), DISPATCH: await eyes("dispatch_url")}
            monitor = await eyes("monitor_url") if settings.monitor_url else None
            site = replace(site, pools=pools, monitor=monitor)
        if needs_redis:
            client = open_redis(secret(settings.redis_url), queue_name=settings.queue_name)
            stack.push_async_callback(client.aclose)
            sight = Sight(client)
            await sight.open()
            site = replace(site, redis=sight)
        yield site


async def _run(name: CheckName, check: Check, site: Site, told: set[str | None]) -> Examination:
    try:
        return await check(site)
    except SettingsError:
        raise
    except CopydeskError as error:
        why = error.message.partition("; nothing is known")[0]
        answered = not isinstance(error, DatabaseUnavailableError)
    except FAULTS as error:
        why, answered = worded(error), not is_unanswered(error)
    if why in told:
        return Examination(name, [], {}, not_checked=why)
    rule = Rule.CHECK_FAILED if answered else Rule.CHECK_UNANSWERED
    remedy = (
        "see what the server's log says of the session `copydesk doctor`"
        if answered
        else "start the server, or see whether the URL, its port and the way there are right"
    )
    finding = broken(rule, name.value, f"not checked: {why}", remedy)
    return Examination(name, [finding], {}, not_checked=why)
