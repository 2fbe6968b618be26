"""Export files: written whole or not at all, below one directory, apart for each project."""

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from worker.agents.answers import AgentError
from worker.errors import OutputInvalidError


class ExportStore:
    """The directory of export files; without one configured every store is refused."""

    def __init__(self, root: Path | None) -> None:
        self._root = root

    async def store(self, project_id: UUID, name: str, content: bytes) -> str:
        """Write a file for a project and return its path below the directory.

        Raises:
            AgentError: `exports_not_configured`, final; `export_not_stored`, retryable.
            OutputInvalidError: the name leads out of the project's directory.
        """
        if Path(name).name != name:
            raise OutputInvalidError("exports.suffix: must be a file name's ending such as .zip")
        if self._root is None:
            raise AgentError(
                "COPYDESK_EXPORTS_DIRECTORY is not set; name a directory for export files",
                code="exports_not_configured",
            )
        path = f"{project_id}/{name}"
        try:
            await asyncio.to_thread(_write, self._root / path, content)
        except OSError as error:
            raise AgentError(
                f"the export file cannot be written ({type(error).__name__}: {error.strerror}); "
                "make room in COPYDESK_EXPORTS_DIRECTORY, or let the worker write there",
                code="export_not_stored",
                retryable=True,
            ) from None
        return path

    async def discard(self, path: str) -> None:
        """Remove a file whose record was refused."""
        if self._root is not None:
            with suppress(OSError):
                await asyncio.to_thread((self._root / path).unlink, missing_ok=True)


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
