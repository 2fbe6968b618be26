"""What a project archive consists of: members, their columns, and the manifest.

A ZIP file with one `.jsonl` for each table, a row a line as PostgreSQL writes it in JSON, the
export files below `files/`, and the manifest. The columns are those of the format's version, not of
the models: where a table changes, the version goes up, and older archives stay readable.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

FORMAT = "copydesk-project"
VERSION = 1

MANIFEST = "manifest.json"
FILES = "files/"
USERS = "users"

COLUMNS: dict[str, tuple[str, ...]] = {
    USERS: ("id", "email", "name"),
    "projects": (
        *("id", "name", "status", "current_step", "language", "created_by", "created_at"),
        "updated_at",
    ),
    "agent_executions": (
        *("id", "project_id", "agent_type", "correlation_id", "input_data", "output_data"),
        *("status", "error_message", "started_at", "completed_at", "created_at", "requested_by"),
        *("scheduled_at", "priority", "attempt", "failures", "max_attempts", "worker"),
        *("cancel_requested_at", "error_code", "idempotency_key", "request_hash", "retry_of"),
    ),
    # Without `id`: it counts through a whole database. The order of the lines is what it tells.
    "execution_events": (
        *("project_id", "execution_id", "event", "attempt", "worker", "at", "detail"),
    ),
    "document_versions": (
        *("id", "project_id", "document_type", "version", "content", "metadata"),
        *("readability_score", "grammar_score", "created_by", "created_at", "execution_id"),
        *("attempt", "base_version"),
    ),
    "exports": (
        *("id", "project_id", "status", "manifest", "file_path", "created_at", "expires_at"),
        *("execution_id", "attempt"),
    ),
}
"""The tables of format version 1 in the order in which rows can be inserted, and their columns."""


def member_of(table: str) -> str:
    """Return the name of the member with a table's rows."""
    return f"{table}.jsonl"


class Member(BaseModel):
    """What the manifest says of a member: bytes uncompressed, SHA-256, and of a table the rows."""

    model_config = ConfigDict(extra="forbid")

    bytes: int = Field(ge=0)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: int | None = Field(default=None, ge=0)


class Manifest(BaseModel):
    """What is in an archive, and of what.

    Attributes:
        format: always `copydesk-project`.
        version: of the format.
        project_id: the project, whose id stays the same.
        schema_revision: of the database it came from, for people.
        exported_at: the moment at which all of it was true.
        members: every member but the manifest itself, by name.
        missing_files: paths in `exports` whose files were not there.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["copydesk-project"]
    version: Literal[1]
    project_id: UUID
    schema_revision: str
    exported_at: datetime
    members: dict[str, Member]
    missing_files: list[str]
