"""A database with its exports directory, and what takes projects out of it and into it."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from models.declarations import project_owned
from tests.conftest import make_settings
from tests.maintenance.canaries import AGENTS
from tests.maintenance.rows import Records
from tests.support.databases import TEMPLATE, DatabaseUrls, fresh_database
from worker.errors import CopydeskError
from worker.maintenance.archive.format import Manifest
from worker.maintenance.archive.reading import opened_archive
from worker.maintenance.files import ExportFiles
from worker.maintenance.opening import opened_exporter, opened_importer
from worker.maintenance.rows import Counts
from worker.settings import Settings

DAY = timedelta(days=1)


@dataclass
class Place:
    """A database with its exports directory."""

    database: DatabaseUrls
    settings: Settings

    async def export(self, project: UUID, file: Path, **options: bool) -> Manifest:
        """Export a project."""
        async with opened_exporter(self.settings) as exporter:
            return await exporter.export(project, file, **options)

    async def take_in(self, file: Path, **options: Any) -> Counts:
        """Import an archive."""
        with opened_archive(file) as archive:
            async with opened_importer(self.settings) as importer:
                return await importer.import_project(archive, **options)

    async def everything(self) -> set[str]:
        """Return every table with a row in it, and every file."""
        found = set()
        for table in ("users", *project_owned()):
            if await self.database.ask(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - names of the models
                found.add(table)
        assert self.settings.exports_directory is not None
        return found | {str(path) for path in self.settings.exports_directory.rglob("*")}


@asynccontextmanager
async def opened_place(admin_url: str, redis_url: str, exports: Path) -> AsyncIterator[Place]:
    """Make a database."""
    async with fresh_database(admin_url, template=TEMPLATE) as database:
        agents = ["tests.support.desk_agents", *AGENTS]
        settings = make_settings(database, redis_url, exports_directory=exports, agents=agents)
        yield Place(database, settings)


async def refusal(place: Place, file: Path, *, code: str = "archive_invalid") -> str:
    """Return why an archive is refused; nothing of it is left."""
    before = await place.everything()
    with pytest.raises(CopydeskError) as refused:
        await place.take_in(file)
    assert await place.everything() == before
    assert refused.value.code == code, refused.value
    return refused.value.message


@dataclass(frozen=True)
class Sound:
    """A sound archive, of a project that is in no database any more."""

    archive: Path
    project: UUID
    user: UUID
    email: str
    file: str


async def make_sound(admin_url: str, directory: Path) -> Sound:
    """Make a small project with a bit of everything, and export it."""
    async with opened_place(admin_url, "redis://127.0.0.1:1/0", directory / "exports") as place:
        user = await place.database.add_user()
        records = Records(place.database, await place.database.add_project(user), user)
        [wrote] = await records.ended(DAY)
        await records.version(wrote, "notes", 1)
        await records.export(wrote, "notes.zip")
        store = ExportFiles(directory / "exports")
        store.add(records.project, "notes.zip", io.BytesIO(b"the notes"))
        [failed] = await records.ended(DAY, status="failed")
        await records.ended(timedelta(hours=1), status="cancelled", retry_of=failed)
        await place.export(records.project, directory / "sound.zip")
        [row] = await place.database.ask("SELECT email FROM users")
    return Sound(directory / "sound.zip", records.project, user, row["email"], "notes.zip")
