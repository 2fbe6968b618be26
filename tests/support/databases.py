"""Databases for tests: cloned from a migrated template, one a test, gone afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

from models.roles import APP, BACKUP, DISPATCH, MAINTENANCE, OWNER
from worker import migrate

TEMPLATE = "copydesk_template"


@dataclass(frozen=True)
class DatabaseUrls:
    """One database, as each role reaches it."""

    name: str
    admin: str

    def as_role(self, role: str) -> str:
        """Return the URL with another role in it."""
        return self.admin.replace("postgres@", f"{role}@", 1)

    @property
    def app(self) -> str:
        """As the worker's own role."""
        return self.as_role(APP)

    @property
    def dispatch(self) -> str:
        """As the role that sees across projects."""
        return self.as_role(DISPATCH)

    @property
    def owner(self) -> str:
        """As the role that migrates."""
        return self.as_role(OWNER)

    @property
    def maintenance(self) -> str:
        """As the role that deletes, prunes and moves projects."""
        return self.as_role(MAINTENANCE)

    @property
    def backup(self) -> str:
        """As the role that reads everything, for backups."""
        return self.as_role(BACKUP)

    @asynccontextmanager
    async def oracle(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect as the superuser, who sees everything: the judge, never the judged."""
        connection = await asyncpg.connect(self.admin)
        try:
            yield connection
        finally:
            await connection.close()

    async def ask(self, statement: str, *arguments: Any) -> list[Any]:
        """Return the rows of a statement as the superuser sees them."""
        async with self.oracle() as connection:
            rows: list[Any] = await connection.fetch(statement, *arguments)
            return rows

    async def add_user(self) -> UUID:
        """Create a user and return the id."""
        [row] = await self.ask(
            "INSERT INTO users (email, name) VALUES ($1, 'Tester') RETURNING id",
            f"{uuid4()}@example.com",
        )
        return UUID(str(row["id"]))

    async def add_project(self, user: UUID, *, language: str = "en") -> UUID:
        """Create a project and return the id."""
        [row] = await self.ask("SELECT create_project('Test', $1, $2) AS id", user, language)
        return UUID(str(row["id"]))


def database_url(admin_url: str, name: str) -> str:
    """Return the server's URL with another database in it."""
    return urlsplit(admin_url)._replace(path=f"/{name}").geturl()


async def make_template(admin_url: str) -> None:
    """Make the migrated template that `fresh_database` clones."""
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await admin.close()
    await migrate.upgrade(database_url(admin_url, TEMPLATE))


async def clone(admin_url: str, *, template: str = TEMPLATE) -> DatabaseUrls:
    """Make a database of a template."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        if template == TEMPLATE:
            # What is granted on a database is not copied with it.
            await admin.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}")
            await admin.execute(f"REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC")
    finally:
        await admin.close()
    return DatabaseUrls(name, database_url(admin_url, name))


async def drop(admin_url: str, name: str) -> None:
    """Drop a database, whoever is still connected."""
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await admin.close()


@asynccontextmanager
async def fresh_database(admin_url: str, *, template: str) -> AsyncIterator[DatabaseUrls]:
    """Make a database of a template and drop it afterwards."""
    urls = await clone(admin_url, template=template)
    try:
        yield urls
    finally:
        await drop(admin_url, urls.name)
