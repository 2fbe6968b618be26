"""A worker that must not start says why in one line, ends with 2, and tells no secret."""

import sys
from pathlib import Path

import pytest

from tests.support.databases import DatabaseUrls
from tests.support.workers import environment, worker_process
from worker.settings import Settings

SECRET = "hunter2-hunter2"


async def refused(settings: Settings, tmp_path: Path, **variables: str) -> tuple[int, str]:
    """Start a worker with these variables and return its exit code and what it wrote."""
    async with worker_process(settings, tmp_path / "log", **variables) as worker:
        code = await worker.ended()
        return code, worker.log


async def test_a_table_that_is_not_protected_is_named_with_the_reason(
    settings: Settings, database: DatabaseUrls, tmp_path: Path
) -> None:
    """What somebody changed by hand keeps every worker from starting, and each says what it is."""
    await database.ask("ALTER TABLE exports NO FORCE ROW LEVEL SECURITY")
    await database.ask("CREATE POLICY peek ON document_versions USING (true)")

    code, log = await refused(settings, tmp_path)

    assert code == 2
    assert "exports: row level security is not forced" in log
    assert "document_versions: the permissive policy peek for PUBLIC is one too many" in log
    assert "DROP POLICY peek ON document_versions" in log
    assert len(log.strip().splitlines()) == 1


async def test_missing_settings_are_named_all_at_once(settings: Settings, tmp_path: Path) -> None:
    """No variable is found out one run at a time."""
    bare = {
        name: value
        for name, value in environment(settings).items()
        if not name.startswith("COPYDESK_")
    }
    process_log = tmp_path / "log"
    async with worker_process(
        settings,
        process_log,
        *("env", "-i", f"PATH={bare['PATH']}", sys.executable, "-m", "worker", "worker"),
    ) as worker:
        code = await worker.ended()
    log = process_log.read_text()
    assert code == 2
    for name in ("COPYDESK_DATABASE_URL", "COPYDESK_DISPATCH_URL", "COPYDESK_REDIS_URL"):
        assert name in log
    assert len(log.strip().splitlines()) == 1


async def test_an_unmigrated_database_is_refused_with_the_remedy(
    settings: Settings, empty_database: str, tmp_path: Path
) -> None:
    """The first mistake of everybody who installs it."""
    fresh = DatabaseUrls("fresh", empty_database)
    code, log = await refused(
        settings,
        tmp_path,
        COPYDESK_DATABASE_URL=fresh.app,
        COPYDESK_DISPATCH_URL=fresh.dispatch,
    )
    assert code == 2
    assert "copydesk db upgrade" in log
    assert len(log.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("revision", "remedy"),
    [("0000_before", "copydesk db upgrade"), ("9999_after", "install the copydesk that has 9999")],
)
async def test_a_schema_of_another_release_is_refused_with_the_remedy(
    settings: Settings, database: DatabaseUrls, tmp_path: Path, revision: str, remedy: str
) -> None:
    """Too old or too new: the line names both revisions and what to do."""
    await database.ask("UPDATE alembic_version SET version_num = $1", revision)
    code, log = await refused(settings, tmp_path)
    assert code == 2
    assert f"at revision {revision}" in log
    assert remedy in log
    assert len(log.strip().splitlines()) == 1


async def test_an_agent_that_cannot_be_loaded_is_named(settings: Settings, tmp_path: Path) -> None:
    """A worker without its agents would take work and never run it."""
    code, log = await refused(settings, tmp_path, COPYDESK_AGENTS="no_such.module")
    assert code == 2
    assert "no_such" in log
    assert len(log.strip().splitlines()) == 1
