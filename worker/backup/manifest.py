"""The manifest beside a dump: what has to be in it, and how to tell that it is whole.

It is written last, so that a dump with a manifest is one that was finished.
"""

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from worker.backup.errors import RestoreError

_MOST_BYTES = 1_048_576


class Manifest(BaseModel):
    """What a dump holds, as of the one moment of its snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    copydesk: str = Field(description="the version that wrote it")
    revision: str = Field(description="of the schema")
    server: str = Field(description="PostgreSQL's version")
    database: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    rows: dict[str, Annotated[int, Field(ge=0)]] = Field(description="rows of each table")
    bytes: int = Field(ge=0, description="size of the dump")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the dump")

    @property
    def server_major(self) -> int:
        """The major version of the PostgreSQL that was backed up."""
        return int(self.server.partition(".")[0])

    @property
    def total(self) -> int:
        """Rows of all tables together."""
        return sum(self.rows.values())

    def text(self) -> str:
        """Return it as the JSON that is written."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def of(cls, dump: Path) -> Self:
        """Read the manifest of a dump, and see that the dump is the one it speaks of.

        Raises:
            RestoreError: one of the two is missing, damaged, or not the other's.
        """
        manifest = cls._read(manifest_path(dump))
        try:
            size, found = dump.stat().st_size, hash_file(dump)
        except OSError as error:
            raise RestoreError(f"{dump} cannot be read: {error.strerror}") from None
        if size != manifest.bytes:
            raise RestoreError(
                f"{dump} has {size:,} bytes, and its manifest speaks of {manifest.bytes:,}: it is "
                "cut off, or another file; nothing was restored"
            )
        if found != manifest.sha256:
            raise RestoreError(
                f"{dump} has another SHA-256 than its manifest says: it is damaged, or another "
                "file; nothing was restored"
            )
        return manifest

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES)
        except OSError as error:
            raise RestoreError(
                f"the manifest {path} cannot be read ({error.strerror}), and a dump is not "
                "restored unverified; `copydesk backup` writes both"
            ) from None
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise RestoreError(
                f"{path} is not a manifest of this copydesk ({where or 'all'}: {fault['msg']}); "
                "restore with the version that wrote it"
            ) from None


def manifest_path(dump: Path) -> Path:
    """Return where the manifest of a dump stands."""
    return dump.with_name(f"{dump.name}.manifest.json")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_name(moment: datetime) -> str:
    """Return the name of a dump that was given none."""
    return f"copydesk-{moment:%Y%m%dT%H%M%SZ}.dump"


def sync_directory(directory: Path) -> None:
    """See that a rename in a directory outlives a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
