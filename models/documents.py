"""What executions leave behind: numbered document versions, and export files."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, ProjectId, Timestamp, UuidKey
from models.storage import ONLY_ADDED


class DocumentVersion(Base):
    """One version of one document of a project, and the attempt that wrote it.

    The unique key on the execution makes a repeated completion harmless, even when the answer to
    the first COMMIT was lost on the way.
    """

    __tablename__ = "document_versions"
    __table_args__ = (
        UniqueConstraint(
            "project_id", "document_type", "version", name="unique_project_doc_version"
        ),
        UniqueConstraint(
            "project_id", "execution_id", "document_type", name="unique_documents_execution"
        ),
        ForeignKeyConstraint(
            ["project_id", "execution_id"],
            ["agent_executions.project_id", "agent_executions.id"],
            name="fk_documents_execution",
        ),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("base_version < version", name="base_version"),
        Index("idx_documents_project_version", "project_id", text("version DESC")),
        Index("idx_documents_project_lookup", "project_id", "document_type", text("version DESC")),
        Index("idx_documents_created_by", "created_by"),
        Index(
            "idx_documents_metadata",
            "metadata",
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        ),
        {"postgresql_with": ONLY_ADDED},
    )

    id: Mapped[UuidKey]
    project_id: Mapped[ProjectId]
    document_type: Mapped[str] = mapped_column(String(50))
    version: Mapped[int]
    content: Mapped[str] = mapped_column(Text)
    # `metadata` is taken by SQLAlchemy on declarative classes.
    metadata_: Mapped[dict[str, Any] | None] = mapped_column(
        "metadata", JSONB, server_default=text("'{}'")
    )
    readability_score: Mapped[float | None] = mapped_column(Double)
    grammar_score: Mapped[float | None] = mapped_column(Double)
    created_by: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    execution_id: Mapped[UUID] = mapped_column(Uuid)
    attempt: Mapped[int]
    base_version: Mapped[int | None]


class Export(Base):
    """A file built from a project's documents, to be fetched until it expires."""

    __tablename__ = "exports"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "execution_id"],
            ["agent_executions.project_id", "agent_executions.id"],
            name="fk_exports_execution",
        ),
        UniqueConstraint("project_id", "execution_id", "file_path", name="unique_exports_file"),
        CheckConstraint("status IN ('pending', 'completed', 'failed', 'expired')", name="status"),
        CheckConstraint(
            "status != 'completed' OR (file_path IS NOT NULL AND manifest IS NOT NULL)",
            name="file_path",
        ),
        Index("idx_exports_expires", "expires_at", postgresql_where=text("status = 'completed'")),
        Index("idx_exports_pending", "created_at", postgresql_where=text("status = 'pending'")),
        Index("idx_exports_project_fk", "project_id", text("created_at DESC")),
    )

    id: Mapped[UuidKey]
    project_id: Mapped[ProjectId]
    status: Mapped[str] = mapped_column(String(50), server_default=text("'pending'"))
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    file_path: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    execution_id: Mapped[UUID] = mapped_column(Uuid)
    attempt: Mapped[int]
