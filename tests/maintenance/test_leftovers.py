"""Export files: expired ones go, and so do those that no row names; what is needed stays."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.maintenance.rows import Records
from tests.support.databases import DatabaseUrls
from worker.errors import CopydeskError
from worker.maintenance.pruning import Order, Pruner
from worker.settings import Settings

DAY = timedelta(days=1)
FILES = Order(None)
FOR_REAL = Order(None, for_real=True)
HISTORY = Order(90 * DAY, for_real=True)


class Shelf:
    """The directory of one project's files."""

    def __init__(self, settings: Settings, project: UUID) -> None:
        assert settings.exports_directory is not None
        self.directory = settings.exports_directory / str(project)
        self.directory.mkdir(parents=True)

    def put(self, name: str, *, days: float = 0) -> Path:
        """Write a file that was written so many days ago."""
        path = self.directory / name
        path.write_text(name)
        then = time.time() - days * 86_400
        os.utime(path, (then, then))
        return path

    def names(self) -> set[str]:
        """Return the files that are there."""
        return {path.name for path in self.directory.iterdir()}


@pytest.fixture
def shelf(settings: Settings, project: UUID) -> Shelf:
    """The files of the test's own project."""
    return Shelf(settings, project)


async def statuses(database: DatabaseUrls) -> dict[str, str]:
    """Return the status of every export, by the name of its file."""
    rows = await database.ask("SELECT file_path, status FROM exports")
    return {row["file_path"].rpartition("/")[2]: row["status"] for row in rows}


async def test_expired_files_go_and_their_rows_say_so(
    records: Records, pruner: Pruner, shelf: Shelf, database: DatabaseUrls
) -> None:
    """By their own date, whatever else is pruned; what has not expired, or never does, stays."""
    [execution] = await records.ended(DAY)
    now = datetime.now(UTC)
    for name, expires_at in (("over", now - DAY), ("valid", now + DAY), ("ever", None)):
        await records.export(execution, name, expires_at=expires_at)
        shelf.put(name, days=50)

    expected = await pruner.prune(records.project, FILES)
    assert shelf.names() == {"over", "valid", "ever"}
    counts = await pruner.prune(records.project, FOR_REAL)

    assert +counts == +expected == {"expired": 1, "files": 1}
    assert shelf.names() == {"valid", "ever"}
    assert await statuses(database) == {
        "over": "expired",
        "valid": "completed",
        "ever": "completed",
    }


async def test_files_that_no_row_names_go_when_they_are_older_than_a_day(
    records: Records, pruner: Pruner, shelf: Shelf
) -> None:
    """Those of killed workers, drafts too; a young one may be recorded at this moment."""
    [execution] = await records.ended(DAY)
    await records.export(execution, "named")
    shelf.put("named", days=50)
    shelf.put("left", days=1.1)
    shelf.put(".draft.zip.12ab", days=3)
    shelf.put("young", days=0.9)

    assert +await pruner.prune(records.project, FILES) == {"files": 2}
    assert +await pruner.prune(records.project, FOR_REAL) == {"files": 2}

    assert shelf.names() == {"named", "young"}


async def test_a_pruned_executions_files_go_with_it(
    records: Records, pruner: Pruner, shelf: Shelf
) -> None:
    """The row first, then the file; each is counted once, also where it had expired."""
    old = await records.ended(100 * DAY, number=5)
    for place, execution in enumerate(old):
        expires_at = datetime.now(UTC) - DAY if place else None
        await records.export(execution, f"{place}.zip", expires_at=expires_at)
        shelf.put(f"{place}.zip", days=100)
    shelf.put("young")

    expected = await pruner.prune(records.project, Order(90 * DAY))
    counts = await pruner.prune(records.project, HISTORY)

    assert +counts == +expected
    assert (counts["exports"], counts["files"], counts["expired"]) == (5, 5, 0)
    assert shelf.names() == {"young"}


async def test_files_of_a_project_that_is_gone_are_nobodys(
    settings: Settings, pruner: Pruner
) -> None:
    """What a deletion left behind is found by its directory alone."""
    shelf = Shelf(settings, uuid4())
    shelf.put("left", days=2)
    counts = await pruner.prune(UUID(shelf.directory.name), FOR_REAL)
    assert +counts == {"files": 1}
    assert shelf.names() == set()


async def test_a_row_cannot_name_a_file_elsewhere(
    records: Records, pruner: Pruner, shelf: Shelf, settings: Settings, database: DatabaseUrls
) -> None:
    """Paths out of the project's directory, links and directories are left alone."""
    assert settings.exports_directory is not None
    elsewhere = settings.exports_directory / "elsewhere.txt"
    elsewhere.write_text("somebody's")
    [execution] = await records.ended(100 * DAY)
    for place, path in enumerate(
        ("../elsewhere.txt", f"{records.project}/../elsewhere.txt", str(elsewhere), "elsewhere.txt")
    ):
        await records.export(execution, f"x{place}", expires_at=datetime.now(UTC) - DAY)
        await database.ask(
            "UPDATE exports SET file_path = $1 WHERE file_path = $2",
            path,
            f"{records.project}/x{place}",
        )
    (shelf.directory / "link").symlink_to(elsewhere)
    (shelf.directory / "directory").mkdir()

    await pruner.prune(records.project, HISTORY)

    assert elsewhere.read_text() == "somebody's"
    assert shelf.names() == {"link", "directory"}
    assert await records.ids() == set()


async def test_a_directory_that_is_a_link_is_refused(
    records: Records, pruner: Pruner, settings: Settings, tmp_path: Path
) -> None:
    """Nothing is removed from where it leads."""
    assert settings.exports_directory is not None
    settings.exports_directory.mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (settings.exports_directory / str(records.project)).symlink_to(tmp_path / "precious")

    with pytest.raises(CopydeskError) as refused:
        await pruner.prune(records.project, FOR_REAL)

    assert refused.value.code == "export_files"
    assert (tmp_path / "precious" / "file").exists()
