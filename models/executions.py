"""Executions: requests to run an agent, and the events of their lives.

The row is the truth about an execution. `attempt` only ever goes up and is the fence: a move names
the attempt it belongs to, and touches nothing when the row has gone on. Constraints tie the state
to the columns that go with it, so that no half-made move can be stored.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, ProjectId, Timestamp, UuidKey
from models.storage import ONLY_ADDED, UPDATED


class AgentExecution(Base):
    """One request to run an agent in a project."""

    __tablename__ = "agent_executions"
    __table_args__ = (
        UniqueConstraint("project_id", "id", name="unique_executions_project_id"),
        UniqueConstraint("project_id", "idempotency_key", name="unique_executions_idempotency_key"),
        ForeignKeyConstraint(
            ["project_id", "retry_of"],
            ["agent_executions.project_id", "agent_executions.id"],
            name="fk_executions_retry_of",
        ),
        CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'cancelled')", name="status"
        ),
        CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)",
            name="completed_at",
        ),
        CheckConstraint(
            "(status = 'running') = (lease_expires_at IS NOT NULL) "
            "AND (status = 'running') <= (worker IS NOT NULL)",
            name="lease",
        ),
        CheckConstraint("attempt >= 0 AND failures >= 0 AND max_attempts >= 1", name="attempts"),
        CheckConstraint("status != 'failed' OR error_code IS NOT NULL", name="error_code"),
        # With the project: there are no statistics that would tell how few rows an id has.
        Index("idx_executions_correlation", "correlation_id", "project_id"),
        Index("idx_executions_project_status", "project_id", "status", text("started_at DESC")),
        Index("idx_executions_project_created", "project_id", text("created_at DESC")),
        Index("idx_executions_requested_by", "requested_by"),
        # Most executions repeat none; with them in it, this index was the dearest of all.
        Index(
            "idx_executions_retry_of",
            "project_id",
            "retry_of",
            postgresql_where=text("retry_of IS NOT NULL"),
        ),
        # What a sweep looks for. Leases are left out of every index, so that renewing them stays
        # a heap-only update; the running rows are few, and found by their own small index.
        Index(
            "idx_executions_due",
            "project_id",
            text("priority DESC"),
            "scheduled_at",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("idx_executions_running", "worker", postgresql_where=text("status = 'running'")),
        Index(
            "idx_agent_output",
            "output_data",
            postgresql_using="gin",
            postgresql_ops={"output_data": "jsonb_path_ops"},
            postgresql_where=text("output_data IS NOT NULL"),
        ),
        {"postgresql_with": UPDATED},
    )

    id: Mapped[UuidKey]
    project_id: Mapped[ProjectId]
    agent_type: Mapped[str] = mapped_column(String(50))
    correlation_id: Mapped[UUID] = mapped_column(Uuid)
    input_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    output_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    status: Mapped[str] = mapped_column(String(50), server_default=text("'pending'"))
    error_message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=text("now()"))
    completed_at: Mapped[datetime | None] = mapped_column(Timestamp)

    created_at: Mapped[CreatedAt]
    requested_by: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id"))
    scheduled_at: Mapped[datetime] = mapped_column(Timestamp, server_default=text("now()"))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    # NULL until the first claim, unless the caller asked for a number: the agent has its own.
    max_attempts: Mapped[int | None]
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(Timestamp)
    error_code: Mapped[str | None] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    retry_of: Mapped[UUID | None] = mapped_column(Uuid)


class ExecutionEvent(Base):
    """One transition, refusal or milestone of an execution; rows are only ever added."""

    __tablename__ = "execution_events"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "execution_id"],
            ["agent_executions.project_id", "agent_executions.id"],
            name="fk_execution_events_execution",
            ondelete="CASCADE",
        ),
        {"postgresql_with": ONLY_ADDED},
    )

    project_id: Mapped[ProjectId] = mapped_column(primary_key=True)
    execution_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event: Mapped[str] = mapped_column(String(50))
    attempt: Mapped[int]
    worker: Mapped[str | None] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=text("clock_timestamp()"))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
