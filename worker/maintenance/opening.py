"""The one place where the parts of maintenance are made of settings, and closed again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from worker.database import Database
from worker.ledger import MovePool
from worker.maintenance.archive.exporting import ProjectExporter
from worker.maintenance.archive.importing import ProjectImporter
from worker.maintenance.deletion import Deletion
from worker.maintenance.files import export_files
from worker.maintenance.pruning import Pruner
from worker.maintenance.traces import QueueTraces
from worker.queue.connection import open_redis
from worker.queue.signals import Signals
from worker.settings import Settings, secret

_CONNECTIONS = 2
# The role's own limit on statements, and a little more.
_STATEMENT_SECONDS = 310


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """Open connections as copydesk_maintenance."""
    settings.require("maintenance_url")
    database = Database(
        secret(settings.maintenance_url), size=_CONNECTIONS, timeout=_STATEMENT_SECONDS
    )
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_deletion(settings: Settings) -> AsyncIterator[Deletion]:
    """Open what deletes projects."""
    settings.require("maintenance_url", "redis_url")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings))
        redis = open_redis(secret(settings.redis_url), queue_name=settings.queue_name)
        stack.push_async_callback(redis.aclose)
        yield Deletion(
            database,
            QueueTraces(redis, settings.queue_name),
            Signals(redis),
            export_files(settings),
        )


@asynccontextmanager
async def opened_pruner(settings: Settings, *, batch: int) -> AsyncIterator[Pruner]:
    """Open what prunes projects."""
    async with opened_database(settings) as database:
        yield Pruner(database, export_files(settings), batch=batch)


@asynccontextmanager
async def opened_exporter(settings: Settings) -> AsyncIterator[ProjectExporter]:
    """Open what exports projects."""
    async with opened_database(settings) as database:
        yield ProjectExporter(database, export_files(settings))


@asynccontextmanager
async def opened_importer(settings: Settings) -> AsyncIterator[ProjectImporter]:
    """Open what imports projects."""
    async with opened_database(settings) as database:
        yield ProjectImporter(database, export_files(settings))


@asynccontextmanager
async def opened_dispatch(settings: Settings) -> AsyncIterator[MovePool]:
    """Open a connection as copydesk_dispatch, which knows what projects there are."""
    settings.require("dispatch_url")
    async with MovePool(secret(settings.dispatch_url), size=1) as pool:
        yield pool
