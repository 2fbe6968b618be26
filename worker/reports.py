"""The typed answers of the readings. Times are aware datetimes, durations are seconds."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from models.states import Event, State


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True)


class EventReport(_Report):
    """One line of an execution's life."""

    event: Event
    attempt: int
    worker: str | None
    at: datetime
    detail: dict[str, Any]


class AttemptReport(_Report):
    """One try: who made it, from when to when, and how it ended (None: it has not)."""

    attempt: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None
    ending: Event | None
    error_code: str | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


class VersionReport(_Report):
    """A document version an execution wrote, without its content."""

    document_type: str
    version: int
    readability_score: float | None
    grammar_score: float | None
    base_version: int | None
    attempt: int
    created_at: datetime


class ExportReport(_Report):
    """An export file an execution built; `file_path` is below the exports directory."""

    export_id: UUID
    status: str
    file_path: str | None
    created_at: datetime
    expires_at: datetime | None


class ExecutionReport(_Report):
    """Where an execution stands, how it got there, and what it wrote."""

    execution_id: UUID
    project_id: UUID
    correlation_id: UUID
    agent_type: str
    status: State
    attempt: int
    failures: int
    max_attempts: int | None
    priority: int
    requested_by: UUID
    created_at: datetime
    scheduled_at: datetime
    started_at: datetime
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    worker: str | None
    error_code: str | None
    error_message: str | None
    output: dict[str, Any] | None
    retry_of: UUID | None
    events: list[EventReport]
    attempts: list[AttemptReport]
    versions: list[VersionReport]
    exports: list[ExportReport]

    @property
    def progress(self) -> tuple[float | None, str]:
        """The latest report of the attempt under way: fraction (None: unknown) and message."""
        for event in reversed(self.events):
            if event.attempt != self.attempt:
                break
            if event.event is Event.PROGRESS:
                return event.detail.get("fraction"), event.detail.get("message", "")
        return None, ""


class StatusReport(_Report):
    """All executions of one correlation id in one project, oldest first, as of one moment."""

    project_id: UUID
    correlation_id: UUID
    executions: list[ExecutionReport]

    @property
    def is_final(self) -> bool:
        """Whether nothing of it is pending or running."""
        return all(execution.status.is_final for execution in self.executions)


class DeadLetter(_Report):
    """An execution that failed for good; `retried_as` is the one that repeats it, if any."""

    execution_id: UUID
    correlation_id: UUID
    agent_type: str
    attempt: int
    failures: int
    error_code: str
    error_message: str
    created_at: datetime
    completed_at: datetime
    retried_as: UUID | None


class DocumentReport(_Report):
    """A version of a document, and who wrote it; `content` only where it was asked for."""

    document_type: str
    version: int
    versions: int
    readability_score: float | None
    grammar_score: float | None
    base_version: int | None
    metadata: dict[str, Any]
    created_at: datetime
    created_by: UUID
    execution_id: UUID
    attempt: int
    agent_type: str
    content: str | None = None


class DocumentStatistics(_Report):
    """A document: how many versions it has, and when the latest was written."""

    document_type: str
    versions: int
    updated_at: datetime


class AgentStatistics(_Report):
    """How executions of one agent ended: numbers by status, and seconds of those completed.

    `p50` and `p95` are percentiles of the attempt that completed; None where none has.
    """

    agent_type: str
    executions: dict[State, int]
    p50: float | None
    p95: float | None


class StatisticsReport(_Report):
    """The figures of a project, as of one moment.

    `success_rate` is what completed of all that completed or failed; None where nothing has.
    """

    project_id: UUID
    documents: list[DocumentStatistics]
    versions: int
    updated_at: datetime | None
    executions: dict[State, int]
    success_rate: float | None
    agents: list[AgentStatistics]


class FoundVersion(_Report):
    """A document version that was searched for, without its content."""

    document_type: str
    version: int
    metadata: dict[str, Any]
    created_at: datetime
    execution_id: UUID


class FoundExecution(_Report):
    """An execution that was searched for, with its output."""

    execution_id: UUID
    correlation_id: UUID
    agent_type: str
    status: State
    output: dict[str, Any]
    created_at: datetime
    completed_at: datetime | None


class FoundText(_Report):
    """A document whose latest version has words like those searched for; `similarity` is 0 to 1."""

    document_type: str
    version: int
    similarity: float
    created_at: datetime
    execution_id: UUID
