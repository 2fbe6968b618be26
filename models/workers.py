"""Presence: which worker processes are here. For display only; no rescue is decided by it."""

from datetime import datetime

from sqlalchemy import String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Timestamp


class Worker(Base):
    """One worker process. Holds no project data."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str] = mapped_column(String(150))
    version: Mapped[str] = mapped_column(String(50))
    agent_types: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
    concurrency: Mapped[int]
    running: Mapped[int] = mapped_column(server_default=text("0"))
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=text("now()"))
    seen_at: Mapped[datetime] = mapped_column(Timestamp, server_default=text("now()"))
