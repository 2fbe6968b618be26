"""Alembic's environment: run by every `alembic` and `copydesk db` command.

`worker.migrate` hands over a connection that is already the owner's and holds the migration lock.
Started by Alembic's own command line, this opens one by COPYDESK_OWNER_URL in the same way. Each
migration is a transaction of its own.
"""

from __future__ import annotations

import asyncio
import warnings
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from migrations.operations import completing, register
from migrations.session import SESSION
from models.declarations import statements
from models.tables import Base
from worker.errors import CopydeskError
from worker.migrate import owner_session
from worker.settings import read_settings, secret


def run(connection: Connection) -> None:
    """Run the command at hand on this connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
        process_revision_directives=completing(Base.metadata, statements),
    )
    with warnings.catch_warnings(), context.begin_transaction():
        # SQLAlchemy stumbles over NOT VALID and NOT ENFORCED; our own comparison reads them.
        warnings.filterwarnings(
            "ignore", "Can't validate argument 'dialect_opt|Could not parse CHECK"
        )
        context.run_migrations()


async def run_alone() -> None:
    """Run the command at hand on a connection of its own."""
    settings = read_settings()
    settings.require("owner_url")
    async with owner_session(secret(settings.owner_url)) as connection:
        await connection.run_sync(run)


def run_offline() -> None:
    """Write the SQL of the migrations instead of executing it, for a prepared database."""
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        for statement in SESSION:
            context.execute(statement)
        context.run_migrations()


register()
given = context.config.attributes.get("connection")
if given is None and context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
if context.is_offline_mode():
    run_offline()
elif given is not None:
    run(given)
else:
    try:
        asyncio.run(run_alone())
    except CopydeskError as error:  # told in one line by Alembic's command line
        raise CommandError(error.message) from None
