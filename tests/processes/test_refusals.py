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


@pytest.mark.parametrize(
    ("variable", "role", "words"),
    [
        ("COPYDESK_DATABASE_URL", "admin", "postgres is a superuser"),
        ("COPYDESK_DATABASE_URL", "owner", "copydesk_owner is, or is a member of, copydesk_owner"),
        ("COPYDESK_DISPATCH_URL", "app", "copydesk_dispatch can read"),
        ("COPYDESK_DISPATCH_URL", "admin", "postgres is a superuser"),
    ],
)
async def test_a_role_that_may_too_much_is_refused(
    variable: str,
    role: str,
    words: str,
    settings: Settings,
    database: DatabaseUrls,
    tmp_path: Path,
) -> None:
    """Isolation is the roles' doing; the line names the role and the remedy."""
    code, log = await refused(settings, tmp_path, **{variable: getattr(database, role)})
    assert code == 2
    assert words in log
    assert len(log.strip().splitlines()) == 1
    assert log.startswith("copydesk: ")


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


@pytest.mark.parametrize(
    ("variable", "url", "code"),
    [
        ("COPYDESK_DATABASE_URL", "postgresql://me:{}@localhost:port/db", 2),
        ("COPYDESK_REDIS_URL", "http://me:{}@localhost", 2),
        ("COPYDESK_DATABASE_URL", "postgresql://me:{}@127.0.0.1:1/db", 3),
    ],
)
async def test_a_wrong_url_is_refused_without_its_password(
    variable: str, url: str, code: int, settings: Settings, tmp_path: Path
) -> None:
    """2 where it cannot be right, 3 where nobody answers now."""
    ended, log = await refused(settings, tmp_path, **{variable: url.format(SECRET)})
    assert ended == code
    assert SECRET not in log
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


async def test_an_agent_that_cannot_be_loaded_is_named(settings: Settings, tmp_path: Path) -> None:
    """A worker without its agents would take work and never run it."""
    code, log = await refused(settings, tmp_path, COPYDESK_AGENTS="no_such.module")
    assert code == 2
    assert "no_such" in log
    assert len(log.strip().splitlines()) == 1
