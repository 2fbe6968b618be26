"""Writes an archive: member by member, each hashed on its way, and whole or not at all."""

import hashlib
import os
import secrets
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from worker.errors import InputInvalidError
from worker.maintenance.archive.format import MANIFEST, Manifest, Member, member_of

_CHUNK = 1 << 20
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_OWN_FILE = 0o100600 << 16
_MADE_ON_UNIX = 3


class ArchiveWriter:
    """Writes members into a ZIP file; the same rows give the same bytes, whenever and wherever."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members: dict[str, Member] = {}

    async def add_rows(self, table: str, *streams: AsyncIterator[str]) -> int:
        """Write the rows of a table, a line each; return how many there were."""
        with self._member(member_of(table)) as member:
            for lines in streams:
                async for line in lines:
                    member.write(line.encode() + b"\n")
                    member.rows += 1
        self.members[member_of(table)] = member.described(rows=member.rows)
        return member.rows

    def add_file(self, name: str, content: IO[bytes]) -> None:
        """Write a file."""
        with self._member(name) as member:
            while chunk := content.read(_CHUNK):
                member.write(chunk)
        self.members[name] = member.described()

    def add_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, which vouches for everything else."""
        with self._member(MANIFEST) as member:
            member.write(manifest.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")

    @contextmanager
    def _member(self, name: str) -> Iterator["_Hashed"]:
        entry = zipfile.ZipInfo(name, date_time=_EARLIEST)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.create_system = _MADE_ON_UNIX
        entry.external_attr = _OWN_FILE
        # Its size is not known before it is written, and may be anything.
        with self._archive.open(entry, "w", force_zip64=True) as stream:
            yield _Hashed(stream)


class _Hashed:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.rows = 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def described(self, *, rows: int | None = None) -> Member:
        return Member(bytes=self._bytes, sha256=self._digest.hexdigest(), rows=rows)


@contextmanager
def written_archive(target: Path) -> Iterator[ArchiveWriter]:
    """Write an archive beside its place, and put it there when it is whole.

    Only its owner may read it: everything of a project is in it.

    Raises:
        InputInvalidError: there is a file already, or none can be written.
    """
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        number = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(number, "w+b") as file:
                with zipfile.ZipFile(file, "w") as archive:
                    yield ArchiveWriter(archive)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, target)  # fails where there is one
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise InputInvalidError(
            f"FILE: cannot be written ({type(error).__name__}: {error.strerror}); "
            "name a file that does not exist yet, in a directory that does"
        ) from None
