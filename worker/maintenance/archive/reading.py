"""Reads an archive without believing it: every name, size, count and hash before anything is used.

Nothing is unpacked to a path that the archive chooses, and nothing is read beyond what its manifest
admits to. Hashes tell what was damaged; whoever changes an archive on purpose can renew them, so
what rows say is checked as well, here and by the database.
"""

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from worker.errors import ArchiveInvalidError, InputInvalidError
from worker.maintenance.archive.format import (
    COLUMNS,
    FILES,
    FORMAT,
    MANIFEST,
    VERSION,
    Manifest,
    member_of,
)
from worker.maintenance.files import is_plain

_CHUNK = 1 << 20
_LARGEST_MANIFEST = 64 << 20
_LONGEST_LINE = 256 << 20
_MOST_MEMBERS = 1_000_000
# Beyond this, an archive may not grow a hundredfold when it is unpacked.
_SUSPICIOUS_FROM = 1 << 30
_GROWTH = 100
_ENCRYPTED = 0x1

_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(OSError, ValueError, OverflowError, NotImplementedError),
)

# The end of a ZIP file without a comment, and what stands before it in a large one.
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")


class Archive:
    """An archive whose manifest and members agree; the members' contents are read as wanted."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    @property
    def file_names(self) -> list[str]:
        """The names of the export files, without a directory."""
        return [
            name.removeprefix(FILES) for name in self.manifest.members if name.startswith(FILES)
        ]

    def verify(self) -> None:
        """Read everything once, and compare it with the manifest.

        Raises:
            ArchiveInvalidError: a size, a count of rows or a hash differs.
        """
        for name, member in self.manifest.members.items():
            digest, read, rows = hashlib.sha256(), 0, 0
            with self.opened(name) as content:
                while chunk := content.read(_CHUNK):
                    read += len(chunk)
                    if read > member.bytes:
                        break
                    digest.update(chunk)
                    rows += chunk.count(b"\n")
            if read != member.bytes or digest.hexdigest() != member.sha256:
                raise ArchiveInvalidError(f"{name}: is not what the manifest says; it was changed")
            if member.rows is not None and rows != member.rows:
                raise ArchiveInvalidError(
                    f"{name}: has {rows} rows, and the manifest says {member.rows}"
                )

    def lines(self, table: str) -> Iterator[bytes]:
        """Yield the lines of a table, one row each."""
        name = member_of(table)
        with self.opened(name) as content, io.BufferedReader(_Raw(content), _CHUNK) as lines:
            while line := lines.readline(_LONGEST_LINE + 1):
                if len(line) > _LONGEST_LINE or not line.endswith(b"\n"):
                    raise ArchiveInvalidError(
                        f"{name}: has a line of more than {_LONGEST_LINE} bytes, or without an end"
                    )
                yield line

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member for reading."""
        with _faults(name), self._archive.open(name) as content:
            yield content


class _Raw(io.RawIOBase):
    """What is read through a buffer of our own size: zipfile's own reads lines by small pieces."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def opened_archive(path: Path, *, largest: int | None = None) -> Iterator[Archive]:
    """Open an archive, and check what it says of itself.

    Args:
        path: the file.
        largest: bytes it may have unpacked; a hundred times its own size, or a gibibyte, where
            nothing is given.

    Raises:
        InputInvalidError: there is no such file.
        ArchiveInvalidError: it is no archive, is damaged, or has something in it that does not
            belong there.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputInvalidError(
            f"FILE: cannot be read ({type(error).__name__}: {error.strerror})"
        ) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        with _faults("FILE"):
            _check_directory(file, size)
            archive = zipfile.ZipFile(file)
        with archive:
            manifest = _manifest(archive)
            _check_members(archive, manifest)
            limit = max(_SUSPICIOUS_FROM, _GROWTH * size) if largest is None else largest
            unpacked = sum(member.bytes for member in manifest.members.values())
            if unpacked > limit:
                raise ArchiveInvalidError(
                    f"FILE: would be {unpacked} bytes unpacked, and {limit} are allowed; where "
                    "that is no accident, raise --max-size"
                )
            yield Archive(archive, manifest)


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a directory of more members than a project has, before it is read into memory."""
    file.seek(max(size - _END.size, 0))
    end = file.read(_END.size)
    if len(end) < _END.size or not end.startswith(b"PK\x05\x06"):
        raise ArchiveInvalidError("FILE: is no project archive, or is cut short")
    _, _, _, _, members, _, place, _ = _END.unpack(end)
    if members == 0xFFFF or place == 0xFFFF_FFFF:  # noqa: PLR2004 - "see the larger record"
        file.seek(max(size - _END.size - _LOCATOR.size, 0))
        locator, _, place, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
        if locator != b"PK\x06\x07" or place > size - _END_64.size:
            raise ArchiveInvalidError("FILE: is no project archive, or is cut short")
        file.seek(place)
        members = _END_64.unpack(file.read(_END_64.size))[7]
    if members > _MOST_MEMBERS:
        raise ArchiveInvalidError(
            f"FILE: has {members} members; a project archive has at most {_MOST_MEMBERS}"
        )
    file.seek(0)


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    try:
        entry = archive.getinfo(MANIFEST)
    except KeyError:
        raise ArchiveInvalidError(f"FILE: has no {MANIFEST}; it is no project archive") from None
    _check_entry(entry)
    with _faults(MANIFEST), archive.open(entry) as content:
        text = content.read(_LARGEST_MANIFEST + 1)
    if len(text) > _LARGEST_MANIFEST:
        raise ArchiveInvalidError(f"{MANIFEST}: is larger than {_LARGEST_MANIFEST} bytes")
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fields = {".".join(str(part) for part in fault["loc"])[:60] for fault in error.errors()}
        if "version" in fields or "format" in fields:
            raise ArchiveInvalidError(
                f"{MANIFEST}: is not of format {FORMAT}, version {VERSION}, which is what this "
                "copydesk reads; import it with the release that wrote it, or a later one"
            ) from None
        raise ArchiveInvalidError(
            f"{MANIFEST}: breaks the format in {', '.join(sorted(fields)[:5]) or 'its JSON'}"
        ) from None


def _check_members(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    names = [entry.filename for entry in archive.infolist()]
    if len(names) != len(set(names)):
        raise ArchiveInvalidError("FILE: has two members of one name")
    if set(names) != {MANIFEST, *manifest.members}:
        raise ArchiveInvalidError(f"FILE: its members are not those that {MANIFEST} names")
    tables = {member_of(table) for table in COLUMNS}
    for entry in archive.infolist():
        _check_entry(entry)
        name = entry.filename
        if name == MANIFEST:
            continue
        member = manifest.members[name]
        is_table = name in tables
        if not is_table and not (name.startswith(FILES) and is_plain(name.removeprefix(FILES))):
            raise ArchiveInvalidError("FILE: has a member that belongs to no project archive")
        if entry.file_size != member.bytes or is_table != (member.rows is not None):
            raise ArchiveInvalidError(f"{name}: is not what the manifest says; it was changed")
    if missing := tables - set(names):
        raise ArchiveInvalidError(f"FILE: lacks {', '.join(sorted(missing))}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in known:
        raise ArchiveInvalidError("FILE: has a member that is encrypted, or packed in another way")


@contextmanager
def _faults(name: str) -> Iterator[None]:
    """Tell in one way whatever zipfile, zlib and the system make of wrong bytes."""
    try:
        yield
    except _DAMAGE as error:
        raise ArchiveInvalidError(
            f"{name}: is damaged or cut short ({type(error).__name__})"
        ) from None
