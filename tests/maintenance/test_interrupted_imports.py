"""An import that is killed, or whose answers are lost, leaves all of a project or nothing."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.maintenance.place import Place, Sound
from tests.support.waiting import until
from tests.support.workers import worker_process
from worker.errors import DatabaseUnavailableError
from worker.maintenance.archive.importing import ProjectImporter
from worker.maintenance.rows import Counts


def files(place: Place, sound: Sound) -> list[str]:
    """Return the project's files."""
    assert place.settings.exports_directory is not None
    directory = place.settings.exports_directory / str(sound.project)
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []


async def test_a_killed_import_can_be_begun_again(
    there: Place, sound: Sound, tmp_path: Path
) -> None:
    """No row is there; a file may be, which the next import finds to be its own."""
    command = (sys.executable, "-m", "worker", "project", "import", str(sound.archive))

    async def waits() -> bool:
        return bool(
            await there.database.ask(
                "SELECT 1 FROM pg_stat_activity WHERE usename = 'copydesk_maintenance' "
                "AND datname = current_database() AND wait_event_type = 'Lock'"
            )
        )

    async with there.database.oracle() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE exports IN ACCESS EXCLUSIVE MODE")
        async with worker_process(there.settings, tmp_path / "first", *command) as first:
            await until(waits, what="the import at its last table")
            first.send(signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
        await transaction.rollback()
    assert await there.database.ask("SELECT 1 FROM projects") == []
    assert await there.database.ask("SELECT 1 FROM users") == []
    assert files(there, sound) == [sound.file]

    async with worker_process(there.settings, tmp_path / "second", *command) as second:
        assert await second.ended() == 0, second.log
    assert len(await there.database.ask("SELECT 1 FROM agent_executions")) == 3


@pytest.mark.parametrize("committed", [True, False])
async def test_files_stay_exactly_where_rows_may_name_them(
    committed: bool, there: Place, sound: Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the commit is lost: what came of it decides."""
    insert = ProjectImporter._insert

    async def unanswered(self: ProjectImporter, *arguments: object) -> Counts:
        if committed:
            await insert(self, *arguments)  # type: ignore[arg-type]
        raise DatabaseUnavailableError("the link was cut")

    monkeypatch.setattr(ProjectImporter, "_insert", unanswered)
    with pytest.raises(DatabaseUnavailableError):
        await there.take_in(sound.archive)
    rows = await there.database.ask("SELECT 1 FROM exports")
    assert (len(rows), files(there, sound)) == ((1, [sound.file]) if committed else (0, []))


async def test_an_import_that_is_stopped_takes_its_files_away(there: Place, sound: Sound) -> None:
    """Ctrl-C in the middle leaves no row and no file."""
    async with there.database.oracle() as holder, holder.transaction():
        await holder.execute("LOCK TABLE exports IN ACCESS EXCLUSIVE MODE")
        task = asyncio.create_task(there.take_in(sound.archive))
        await until(lambda: files(there, sound) == [sound.file], what="the file in its place")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert files(there, sound) == []
    assert await there.database.ask("SELECT 1 FROM projects") == []
