"""The doctor: read-only checks of what a copydesk stands on, each finding with its remedy.

A check is a function that looks at a site and reports an `Examination`. To add one, write it and
put it into `CHECKS`; how it is shown, and what exit code follows, is the same for all of them.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from models.roles import APP, DISPATCH
from worker.findings import Examination
from worker.gate import examine_isolation
from worker.ledger import MovePool
from worker.settings import Settings, secret


@dataclass(frozen=True, slots=True)
class Site:
    """What a check may look at.

    Attributes:
        settings: of this process; the URLs of both running roles are there.
        pools: connections by role, opened when a check first asks something.
    """

    settings: Settings
    pools: Mapping[str, MovePool]


Check = Callable[[Site], Awaitable[Examination]]


async def isolation(site: Site) -> Examination:
    """Check that the database keeps projects apart."""
    return await examine_isolation(site.pools)


CHECKS: Mapping[str, Check] = {"isolation": isolation}


async def examine(settings: Settings, names: Iterable[str] = CHECKS) -> list[Examination]:
    """Run the checks of these names, one after the other; all of them where none are named.

    Raises:
        SettingsError: a URL is missing.
        DatabaseUnavailableError: PostgreSQL does not answer.
    """
    settings.require("database_url", "dispatch_url")
    urls = {APP: settings.database_url, DISPATCH: settings.dispatch_url}
    async with AsyncExitStack() as stack:
        pools = {
            role: await stack.enter_async_context(
                MovePool(secret(url), size=1, name="copydesk doctor")
            )
            for role, url in urls.items()
        }
        site = Site(settings, pools)
        return [await CHECKS[name](site) for name in names]
