"""A desk: one project, one client, and what the database says became of what was enqueued."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from models.states import State
from tests.support.databases import DatabaseUrls
from tests.support.waiting import until
from worker.client import Client
from worker.reports import ExecutionReport

AGENTS = ["tests.support.desk_agents"]


@dataclass(frozen=True)
class Desk:
    """Enqueues for one project and reads what became of it."""

    client: Client
    database: DatabaseUrls
    project: UUID
    user: UUID
    directory: Path

    async def enqueue(
        self, agent_type: str, payload: dict[str, Any] | None = None, **options: Any
    ) -> UUID:
        """Enqueue and return the execution's id."""
        recorded = await self.client.enqueue(
            self.project, agent_type, payload, requested_by=self.user, **options
        )
        return recorded.execution_id

    async def report(self, execution: UUID) -> ExecutionReport:
        """Return what the client reads of an execution."""
        return await self.client.execution(self.project, execution)

    async def final(self, execution: UUID, *, within: float = 15) -> ExecutionReport:
        """Wait for the end of an execution."""

        async def ended() -> ExecutionReport | None:
            report = await self.report(execution)
            return report if State(report.status).is_final else None

        return await until(ended, within=within, what=f"the end of {execution}")

    async def finals(
        self, executions: Sequence[UUID], *, within: float = 15
    ) -> list[ExecutionReport]:
        """Wait for the end of several, of each no longer than `within` seconds."""
        return [await self.final(execution, within=within) for execution in executions]

    async def run(
        self, agent_type: str, payload: dict[str, Any] | None = None, **options: Any
    ) -> ExecutionReport:
        """Enqueue, and wait for the end."""
        return await self.final(await self.enqueue(agent_type, payload, **options))

    async def row(self, execution: UUID) -> Any:
        """Return the execution's row as the superuser sees it."""
        [row] = await self.database.ask("SELECT * FROM agent_executions WHERE id = $1", execution)
        return row

    async def events(self, execution: UUID) -> list[str]:
        """Return the names of the execution's events, in order."""
        rows = await self.database.ask(
            "SELECT event FROM execution_events WHERE execution_id = $1 ORDER BY id", execution
        )
        return [row["event"] for row in rows]

    async def until_event(self, execution: UUID, event: str) -> None:
        """Wait until an event of this name stands in the execution's record."""

        async def stands() -> bool:
            return event in await self.events(execution)

        await until(stands, what=f"the event {event} of {execution}")

    def gate(self, name: str = "gate") -> dict[str, str]:
        """Return the input of an agent that waits until `open_gate`."""
        return {
            "path": str(self.directory / f"{name}.open"),
            "begun": str(self.directory / f"{name}.begun"),
        }

    def open_gate(self, name: str = "gate") -> None:
        """Let the agents that wait at a gate go on."""
        (self.directory / f"{name}.open").touch()

    async def begun(self, name: str = "gate", *, attempt: int = 1, within: float = 15) -> int:
        """Wait until an attempt stands at a gate; return its process id."""
        file = self.directory / f"{name}.begun.{attempt}"
        await until(file.exists, within=within, what=f"attempt {attempt} at {name}")
        return int(file.read_text())
