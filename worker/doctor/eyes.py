"""A connection that cannot change a thing: every look is a read-only transaction, and a short one.

On a busy server the doctor gives up, and nobody waits for it. Where there was no connecting, every
look says so at once, so that ten checks do not wait ten times.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from worker.errors import CopydeskError
from worker.ledger import MovePool
from worker.ledger.pool import Check

_NAME = "copydesk doctor"
_ANSWER_WITHIN = 5.0
# Set in the transaction, since a pooler between may take no settings with the connection.
_BEGIN = """
    BEGIN READ ONLY;
    SET LOCAL statement_timeout = '3s';
    SET LOCAL lock_timeout = '500ms';
    SET LOCAL idle_in_transaction_session_timeout = '10s'
"""


class Eyes(MovePool):
    """One connection of one role.

    Args:
        url: PostgreSQL URL, with the role in it.
        setting: the URL's name, for what is said where it leads nowhere.
    """

    def __init__(self, url: str, setting: str) -> None:
        super().__init__(url, size=1, timeout=_ANSWER_WITHIN, name=_NAME)
        self._setting = setting
        self._blind: CopydeskError | None = None

    async def open(self) -> None:
        """Connect; where that is not possible, every call says why from then on."""
        try:
            await super().call("SELECT 1")
        except CopydeskError as error:
            said = f"{self._setting}: {error.message}"
            self._blind = type(error)(said, code=error.code)

    async def call(
        self, statement: str, *arguments: object, check: Check | None = None
    ) -> list[Any]:
        """Run one statement that reads, and return its rows.

        Raises:
            CopydeskError: what PostgreSQL's fault means.
        """
        if self._blind is not None:
            raise self._blind
        return await super().call(statement, *arguments, check=check)

    async def _run(
        self,
        connection: asyncpg.Connection,
        statement: str,
        arguments: tuple[object, ...],
        check: Check | None,
    ) -> list[Any]:
        await connection.execute(_BEGIN)
        try:
            return await super()._run(connection, statement, arguments, check)
        finally:
            if not connection.is_closed():
                await connection.execute("ROLLBACK")
