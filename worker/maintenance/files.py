"""The export files of projects, as they stand below the exports directory.

A project's files are the regular files of the directory that is named by its id. Links are never
followed, and whatever else lies below the exports directory is left alone.
"""

import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO
from uuid import UUID

from worker.errors import CopydeskError
from worker.identifiers import parse_id
from worker.settings import Settings

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a project: its plain name, its size in bytes, when it was last written (Unix)."""

    name: str
    size: int
    modified: float


class ExportFiles:
    """The exports directory; every method raises `export_files` where the system refuses."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def projects(self) -> list[UUID]:
        """Return the projects that have a directory."""
        with _told(), suppress(FileNotFoundError), os.scandir(self._root) as entries:
            directories = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            return sorted(filter(None, map(_project, directories)))
        return []

    def of(self, project_id: UUID) -> list[StoredFile]:
        """Return the files of a project, drafts that were never finished among them, by name."""
        found = []
        with _told(), suppress(FileNotFoundError), os.scandir(self._directory(project_id)) as files:
            for entry in files:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    found.append(StoredFile(entry.name, facts.st_size, facts.st_mtime))
        return sorted(found, key=lambda file: file.name)

    def remove(self, project_id: UUID, names: Iterable[str]) -> int:
        """Remove files of a project; return how many were there."""
        removed = 0
        for name in filter(is_plain, names):
            with _told(), suppress(FileNotFoundError):
                (self._directory(project_id) / name).unlink()
                removed += 1
        return removed

    def remove_project(self, project_id: UUID) -> int:
        """Remove the directory of a project with all that is in it; return how many files went."""
        with _told(), suppress(FileNotFoundError):
            files = len(self.of(project_id))
            shutil.rmtree(self._directory(project_id))
            return files
        return 0

    def remove_empty(self, project_id: UUID) -> None:
        """Remove the directory of a project if nothing is in it."""
        with suppress(OSError):
            self._directory(project_id).rmdir()

    @contextmanager
    def opened(self, project_id: UUID, name: str) -> Iterator[BufferedReader | None]:
        """Open a file of a project for reading; None where there is no such."""
        with ExitStack() as stack:
            file: BufferedReader | None = None
            if is_plain(name):
                path = self._directory(project_id) / name
                with _told(), suppress(FileNotFoundError):
                    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                    file = stack.enter_context(os.fdopen(number, "rb"))
            yield file

    def add(self, project_id: UUID, name: str, content: IO[bytes]) -> None:
        """Write a file that must not be there yet: whole, under its name, or not at all.

        Raises:
            CopydeskError: `export_files`; among others where a file of that name exists.
        """
        directory = self._directory(project_id)
        draft = directory / f".{name}.{secrets.token_hex(4)}"
        with _told():
            directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            try:
                with draft.open("xb") as file:
                    shutil.copyfileobj(content, file, _CHUNK)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(draft, directory / name)  # fails where the name is taken
            finally:
                draft.unlink(missing_ok=True)

    def _directory(self, project_id: UUID) -> Path:
        directory = self._root / str(project_id)
        if directory.is_symlink():
            raise CopydeskError(
                f"the exports directory: {project_id} is a link; a project's directory has to be "
                "one of its own",
                code="export_files",
            )
        return directory


def is_plain(name: str) -> bool:
    """Whether a name is that of a file in one directory, and leads nowhere else."""
    return (
        Path(name).name == name
        and name not in ("", ".", "..")
        and not set(name) & {"/", "\\", "\x00"}
        and name.isprintable()
    )


def name_in(project_id: UUID, path: str | None) -> str | None:
    """Return the name of the file that a row's path means; None where it leads anywhere else."""
    head, slash, name = (path or "").partition("/")
    return name if slash and head == str(project_id) and is_plain(name) else None


def _project(name: str) -> UUID | None:
    try:
        id_ = parse_id(name)
    except ValueError:
        return None
    return id_ if str(id_) == name else None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CopydeskError(
            f"the exports directory: {type(error).__name__}: {error.strerror or error}; "
            "COPYDESK_EXPORTS_DIRECTORY has to be the workers' own, and writable here",
            code="export_files",
        ) from None


def export_files(settings: Settings) -> ExportFiles | None:
    """Return the exports directory, None where none is configured."""
    root = settings.exports_directory
    return None if root is None else ExportFiles(root)
