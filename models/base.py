"""The declarative base: names of constraints, and the columns that many tables share."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, MetaData, Uuid, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING = {
    "ix": "idx_%(table_name)s_%(column_0_N_name)s",
    "uq": "unique_%(table_name)s_%(column_0_N_name)s",
    "ck": "check_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table; project-owned ones set `__project_owned__`."""

    metadata = MetaData(naming_convention=NAMING)


Timestamp = DateTime(timezone=True)

UuidKey = Annotated[UUID, mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))]
"""A primary key the server makes: version 7, so that rows of one time stand together."""

CreatedAt = Annotated[datetime, mapped_column(Timestamp, server_default=text("now()"))]

ProjectId = Annotated[
    UUID, mapped_column(Uuid, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False)
]
"""The column that makes a table project-owned: row level security is declared for each of them."""
