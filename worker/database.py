"""The project transaction: the only way to touch project data, and it names its project first.

A transaction is bound to one project by a setting that lives exactly as long as it does. Row level
security, forced, compares every row with that setting, and a statement without it fails: there is
no default to fall back on. A commit ends the binding too, so that what a session begins by itself
afterwards can see nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from sqlalchemy import Engine, ExceptionContext, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from worker.addresses import connection_options, statement_cache_size
from worker.errors import DatabaseUnavailableError
from worker.identifiers import parse_project
from worker.ledger.faults import FAULTS, translate
from worker.ledger.schema import READ_REVISION, explained

_BIND = text("SELECT set_config('app.project_id', :project, true)")


class Database:
    """The engine of a role that is bound to a project.

    Args:
        url: PostgreSQL URL with the role copydesk_app, or copydesk_maintenance, in it.
        size: connections at most.
        timeout: seconds one statement may take before it counts as unanswered.
    """

    def __init__(self, url: str, *, size: int, timeout: float = 35) -> None:
        async def connect() -> asyncpg.Connection:
            # One URL means the same to both pools: asyncpg reads it, SQLAlchemy does not.
            options = connection_options(url)
            return await asyncpg.connect(**options, timeout=10, command_timeout=timeout)

        keeps = statement_cache_size(url) != 0
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            # A cache of SQLAlchemy's own stands before the driver's.
            connect_args={} if keeps else {"prepared_statement_cache_size": 0},
            pool_size=size,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "handle_error", _give_up_read_only)

    @property
    def sync_engine(self) -> Engine:
        """The engine below, for event listeners in tests and instrumentation."""
        return self._engine.sync_engine

    @asynccontextmanager
    async def project(
        self, project_id: UUID | str, *, snapshot: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """Begin a transaction in one project; commit at the end, roll back on an error.

        Args:
            project_id: the project; anything but a canonical UUID is refused.
            snapshot: read only, and every statement sees the same moment.

        Raises:
            ProjectRequiredError: no project, or not one.
            DatabaseUnavailableError: PostgreSQL did not answer.
        """
        project = parse_project(project_id)
        async with self._transaction(snapshot=snapshot) as connection:
            await connection.execute(_BIND, {"project": str(project)})
            async with AsyncSession(connection, expire_on_commit=False) as session:
                yield session
                await session.flush()

    @asynccontextmanager
    async def unscoped(self) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction without a project: it can reach users, workers and the catalog."""
        async with self._transaction(snapshot=False) as connection:
            # Also where somebody has bound the whole session by mistake.
            await connection.execute(_BIND, {"project": ""})
            yield connection

    @asynccontextmanager
    async def _transaction(self, *, snapshot: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                if snapshot:
                    await connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                async with connection.begin():
                    yield connection
        except DBAPIError as error:
            raise await explained(_inner(error), self._read_revision) from None
        except FAULTS as error:
            raise translate(error) from None
        except TimeoutError:
            raise DatabaseUnavailableError(
                "no free connection to PostgreSQL within 30 s; raise COPYDESK_POOL_SIZE"
            ) from None

    async def _read_revision(self) -> str | None:
        try:
            async with self._engine.connect() as connection:
                found: str | None = await connection.scalar(text(READ_REVISION))
        except DBAPIError as error:
            raise _inner(error) from None
        return found

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _give_up_read_only(context: ExceptionContext) -> None:
    """Count a session to a server that cannot write as lost: a new one may reach the primary."""
    cause = context.original_exception.__cause__
    context.is_disconnect |= isinstance(cause, asyncpg.ReadOnlySQLTransactionError)


def _inner(error: DBAPIError) -> BaseException:
    # SQLAlchemy wraps the driver's error in one of its own; the inner one has the SQLSTATE.
    wrapped = error.orig
    return (wrapped and wrapped.__cause__) or wrapped or error
