"""Plans of everything a session runs, statements inside functions too, as PostgreSQL tells them.

The running roles of one database load auto_explain, and get its log as notices. A `Book` collects
them from every connection that asyncpg opens while it listens.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import asyncpg

from models.roles import APP, DISPATCH
from tests.support.databases import DatabaseUrls

LARGE_TABLES = {"agent_executions", "execution_events", "document_versions", "exports"}

_SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
}


async def explain_everything(database: DatabaseUrls) -> None:
    """Have every new session of the running roles in this database explain what it runs."""
    async with database.oracle() as oracle:
        for role in (APP, DISPATCH):
            for name, value in _SETTINGS.items():
                await oracle.execute(
                    f"ALTER ROLE {role} IN DATABASE {database.name} SET {name} = '{value}'"
                )


@dataclass(frozen=True)
class Plan:
    """One statement that was run, and how."""

    statement: str
    root: dict[str, Any] = field(repr=False)

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Yield every node of the plan."""
        ahead = [self.root]
        while ahead:
            node = ahead.pop()
            yield node
            ahead += node.get("Plans", [])

    @property
    def pages(self) -> int:
        """Pages of tables and indexes that were touched, of statements inside too."""
        return int(self.root.get("Shared Hit Blocks", 0) + self.root.get("Shared Read Blocks", 0))

    @property
    def scanned(self) -> set[str]:
        """Large tables that were read from end to end."""
        return {
            node["Relation Name"]
            for node in self.nodes()
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE_TABLES
        }


@dataclass
class Book:
    """The plans that were heard of, in the order in which their statements ended."""

    plans: list[Plan] = field(default_factory=list, repr=False)

    def hear(self, _connection: object, message: Any) -> None:
        """Take a notice of auto_explain's."""
        _, found, plan = str(message.message).partition("plan:\n")
        if found:
            told = json.loads(plan)
            self.plans.append(Plan(told["Query Text"], told["Plan"]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear every connection that is opened meanwhile."""
        connect, create_pool = asyncpg.connect, asyncpg.create_pool

        async def listen(connection: asyncpg.Connection) -> None:
            connection.add_log_listener(self.hear)

        async def connected(*given: Any, **options: Any) -> asyncpg.Connection:
            connection = await connect(*given, **options)
            await listen(connection)
            return connection

        def pooled(*given: Any, **options: Any) -> Any:
            return create_pool(*given, **options, setup=listen)

        with (
            mock.patch.object(asyncpg, "connect", connected),
            mock.patch.object(asyncpg, "create_pool", pooled),
        ):
            yield

    async def heard(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Keep what is heard of the second time something is asked: the first looks names up."""
        await ask()
        self.plans.clear()
        await ask()

    @property
    def pages(self) -> int:
        """Pages that the statements of the caller touched; those inside are part of them."""
        return max((plan.pages for plan in self.plans), default=0)

    def judged(self) -> list[str]:
        """Return what is wrong with the plans: a sentence for each large table that was scanned."""
        return [
            f"{table} is scanned by: {' '.join(plan.statement.split())[:300]}"
            for plan in self.plans
            for table in plan.scanned
        ]

    def told(self) -> str:
        """Return the statements with their pages, for the message of a test that fails."""
        told = (f"{p.pages}: {' '.join(p.statement.split())[:120]}" for p in self.plans)
        return "\n".join(told)
