"""Users, and the projects that own everything else."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Timestamp, UuidKey


class User(Base):
    """A person or service on whose behalf executions run. Holds no project data."""

    __tablename__ = "users"

    id: Mapped[UuidKey]
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[CreatedAt]


class Project(Base):
    """The unit of isolation. `language` is set once: a trigger refuses to change it."""

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint("current_step BETWEEN 1 AND 4", name="current_step"),
        Index(
            "idx_projects_active",
            "created_by",
            text("updated_at DESC"),
            postgresql_where=text("status != 'archived'"),
        ),
        Index("idx_projects_user_fk", "created_by"),
    )

    id: Mapped[UuidKey]
    name: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(50), server_default=text("'draft'"))
    current_step: Mapped[int | None] = mapped_column(server_default=text("1"))
    language: Mapped[str] = mapped_column(String(10), server_default=text("'en'"))
    created_by: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=text("now()"))
