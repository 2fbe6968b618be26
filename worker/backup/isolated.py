"""Isolation of a database that was just restored, checked as a worker checks it before it works."""

from collections.abc import Callable
from typing import Any

from worker import migrate
from worker.backup.errors import RestoreError
from worker.errors import CopydeskError, StartupRefusedError
from worker.ledger import MovePool
from worker.preflight import check_database

# One database of one running server, by whatever name or address it is reached.
_WHICH = """
    SELECT oid, datname, pg_postmaster_start_time() AS since FROM pg_database
    WHERE datname = current_database()
"""


async def check_isolation(
    url: str, app_url: str | None, dispatch_url: str | None, *, say: Callable[[str], None]
) -> bool:
    """Check isolation in the database of `url`, and return whether that could be done.

    It takes the URLs of both running roles, and both must lead to this database.

    Raises:
        RestoreError: a worker would refuse to start there.
    """
    later = "isolation was not checked, and will be when a worker starts"
    if app_url is None or dispatch_url is None:
        say(f"{later}: COPYDESK_DATABASE_URL and COPYDESK_DISPATCH_URL are not both set")
        return False
    async with (
        MovePool(url, size=1) as here,
        MovePool(app_url, size=1) as app,
        MovePool(dispatch_url, size=1) as dispatch,
    ):
        try:
            places = {await _where(pool) for pool in (here, app, dispatch)}
        except CopydeskError as error:
            say(f"{later}: {error.message}")
            return False
        if len(places) > 1:
            say(f"{later}: COPYDESK_DATABASE_URL or COPYDESK_DISPATCH_URL leads elsewhere")
            return False
        try:
            await check_database(app, dispatch, revision=migrate.head_revision())
        except StartupRefusedError as error:
            raise RestoreError(f"a worker would refuse to start: {error.message}") from None
    say("isolation holds")
    return True


async def _where(pool: MovePool) -> tuple[Any, ...]:
    [row] = await pool.call(_WHICH)
    return tuple(row)
