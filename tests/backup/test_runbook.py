"""The runbook, run: every block of docs/operations/backup.md, on two clusters of its own."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.states import State
from tests.backup.runbook import Runbook, blocks
from tests.crash.test_postgres import desk_of
from tests.deploy.composefile import ROOT
from tests.support.desk import Desk
from tests.support.invariants import check, not_final
from tests.support.ones_own import OwnPostgres, own_postgres
from tests.support.waiting import until
from tests.support.workers import running_worker
from worker.client import Client
from worker.embedded.account import server_account
from worker.embedded.postgres import postgres_programs
from worker.embedded.servers import prepared_home
from worker.settings import Settings

CONFIGURATION = ROOT / "deploy/postgres/postgresql.conf"


def archiving(archive: Path) -> dict[str, str]:
    """Return what postgresql.conf says of archiving, with another directory."""
    lines = CONFIGURATION.read_text("utf-8").splitlines()
    setting = re.compile(r"((?:basic_)?archive[\w.]*) = '?([^'#]*?)'?$")
    found = {match[1]: match[2] for line in lines if (match := setting.match(line))}
    assert found["archive_mode"] == "on"
    assert "basic_archive.archive_directory" in found
    return found | {"basic_archive.archive_directory": str(archive / "wal")}


class Site:
    """Two homes of clusters, of one user, and an archive that both reach."""

    def __init__(self, directory: Path) -> None:
        self.first, self.second = directory / "first", directory / "second"
        self.archive, self.backups = self.first / "archive", directory / "backups"
        programs = postgres_programs()
        for home in (self.first, self.second):
            prepared_home(home)
        self.account = server_account(
            self.first, programs / "postgres", programs.parent / "share" / "postgres.bki"
        )
        for part in (self.archive, self.archive / "wal", self.archive / "base"):
            self.account.make_directory(part)
        # A data directory is put in place by whoever runs PostgreSQL.
        self.second.chmod(0o777)
        self.backups.mkdir()
        self.exports = directory / "exports"
        (self.exports / "project").mkdir(parents=True)
        (self.exports / "project" / "a.zip").write_bytes(b"an export")

    @property
    def bases(self) -> list[Path]:
        """The base backups there are, the oldest first."""
        return sorted((self.archive / "base").iterdir())

    @property
    def segments(self) -> list[str]:
        """The archived segments of WAL, without the timeline's number."""
        return sorted(file.name[8:] for file in (self.archive / "wal").glob("*[0-9A-F]"))

    @property
    def names(self) -> dict[str, str]:
        """What the page's names stand for."""
        return {
            "ARCHIVE": str(self.archive),
            "BACKUPS": str(self.backups),
            "EXPORTS": str(self.exports),
            "PGUSER": "postgres",
        }

    def close(self) -> None:
        """Let nobody else in again."""
        self.second.chmod(0o711)

    def copies(self) -> set[str]:
        """Return the names of what the logical backups and the rsync left."""
        return {file.suffix for file in self.backups.rglob("*") if file.is_file()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two homes, and directories as the page has them."""
    return Site(tmp_path)


def reached(server: OwnPostgres) -> dict[str, str]:
    """Return how PostgreSQL's programs, and copydesk, reach a server."""
    place = server.database.admin
    return {
        "PGHOST": str(server._server.socket_directory),
        "PGPORT": "5432",
        "ADMIN_URL": place.replace("/copydesk?", "/postgres?"),
        "NEW_URL": place.replace("/copydesk?", "/copydesk_restored?"),
        "COPYDESK_BACKUP_URL": server.database.backup,
        "COPYDESK_OWNER_URL": server.database.owner,
        "COPYDESK_DATABASE_URL": server.database.app,
        "COPYDESK_DISPATCH_URL": server.database.dispatch,
    }


async def some_work(desk: Desk, settings: Settings, word: str) -> None:
    """Complete ten executions with a version each, and leave one pending."""
    async with running_worker(settings):
        ids = [
            await desk.enqueue("echo", {"document_type": "notes", "value": word}) for _ in range(10)
        ]
        for report in await desk.finals(ids):
            assert report.status == State.COMPLETED
    await desk.enqueue("echo", {"document_type": "notes", "value": f"{word}, pending"})


async def test_the_runbook_brings_back_a_moment_and_a_backup(site: Site, redis_url: str) -> None:
    """Later writes are absent, earlier ones present, the schema is right, and work goes on."""
    book = Runbook(site.account.prefix, site.names)
    async with (
        own_postgres(site.first, archiving(site.archive)) as server,
        desk_of(server, redis_url, site.backups) as (desk, settings),
    ):
        there = reached(server)
        await book.run("Base backup", there)
        await some_work(desk, settings, "earlier")
        [row] = await desk.database.ask("SELECT clock_timestamp()::text AS now")
        await book.run("Logical backup", there, mine=True)
        await book.run("Export files", there, mine=True)
        await some_work(desk, settings, "later")
        said = await book.run("Restore a logical backup", there, mine=True)
        assert "every table has the rows it had" in said
        counts = await book.run("What to check afterwards", there, mine=True)
        assert "the database is what the models say" in counts
        assert "nothing to mend" in counts
        assert re.search(r"completed \| +10 ", counts)
        await book.run("Rehearsal", there, mine=True)
        assert site.copies() == {".dump", ".json", ".zip"}

    restored = OwnPostgres(site.second, archiving(site.archive))
    there = reached(restored) | {"PGDATA": str(site.second / "postgres")}
    await book.run(
        "Recovery to a point in time", there | {"BASE": str(site.bases[0]), "TARGET": row["now"]}
    )
    site.close()
    restored.start()
    try:
        await book.run("Recovery to a point in time", there, number=1)
        words = await restored.database.ask(
            "SELECT input_data ->> 'value' AS value, status, count(*) AS n "
            "FROM agent_executions GROUP BY 1, 2"
        )
        assert {(r["value"], r["status"], r["n"]) for r in words} == {
            ("earlier", "completed", 10),
            ("earlier, pending", "pending", 1),
        }
        [versions] = await restored.database.ask("SELECT max(version) AS n FROM document_versions")
        assert versions["n"] == 10
        async with Client(_moved(settings, restored)) as client:
            again = Desk(client, restored.database, desk.project, desk.user, site.backups)
            async with running_worker(_moved(settings, restored)):
                assert (await again.run("echo", {"document_type": "notes"})).status == "completed"
        assert await not_final(restored.database) == []
        await check(restored.database)
        said = await book.run("Archived WAL", there)
        assert said.strip() == ""
        first = site.segments[0]
        for number in (2, 3):
            # They are named after the second.
            await until(lambda: site.bases[-1].stem < f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
            await book.run("Base backup", there)
            assert len(site.bases) == number
        await book.run("Base backup", there, number=1)
        assert len(site.bases) == 2
        assert site.segments[0] > first
    finally:
        restored.stop()
    assert book.left == set()


def _moved(settings: Settings, server: OwnPostgres) -> Settings:
    urls = {"database_url": server.database.app, "dispatch_url": server.database.dispatch}
    secret = type(settings.database_url)
    return settings.model_copy(update={name: secret(url) for name, url in urls.items()})  # type: ignore[misc]


def test_every_command_of_the_page_is_in_a_block_that_is_run() -> None:
    """The page has the blocks that the test above runs, and each has a heading."""
    assert {heading: len(found) for heading, found in blocks().items()} == {
        "Logical backup": 1,
        "Export files": 1,
        "Restore a logical backup": 1,
        "Archived WAL": 1,
        "Base backup": 2,
        "Recovery to a point in time": 2,
        "What to check afterwards": 1,
        "Rehearsal": 1,
    }
