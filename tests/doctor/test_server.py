"""A server that is set up wrongly in every way: each setting is found, with what mends it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from models.roles import APP, DISPATCH, OWNER
from tests.doctor.breakage import examined, of
from tests.support.waiting import until
from worker import migrate
from worker.doctor import CheckName
from worker.doctor.limits import Limits
from worker.doctor.rules import Rule
from worker.embedded import embedded_servers
from worker.embedded.postgres import postgres_programs
from worker.findings import Finding
from worker.settings import Settings, read_settings, secret

WRONG = {
    "archive_mode": "off",
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "io_method": "sync",
    "max_connections": "12",
    "max_prepared_transactions": "2",
    "max_wal_senders": "2",
    "shared_preload_libraries": "",
    "synchronous_commit": "off",
    "track_counts": "off",
    "wal_level": "logical",
}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of that server."""
    home: Path = tmp_path_factory.mktemp("wrong")
    for folder in (home, home.parent, home.parent.parent):
        folder.chmod(0o711)
    with embedded_servers(home / "home", WRONG) as servers:
        admin = servers.postgres_url("postgres", "postgres")
        asyncio.run(migrate.upgrade(admin))
        yield read_settings(
            database_url=servers.postgres_url(APP, "postgres"),
            dispatch_url=servers.postgres_url(DISPATCH, "postgres"),
            owner_url=servers.postgres_url(OWNER, "postgres"),
            monitor_url=admin,
            redis_url=servers.redis_url,
            pool_size=8,
        )


@pytest.mark.parametrize(
    ("rule", "sentence", "remedy"),
    [
        (Rule.FSYNC_OFF, "fsync is off", "fsync = on"),
        (Rule.FULL_PAGE_WRITES_OFF, "full_page_writes is off", "full_page_writes = on"),
        (Rule.COMMIT_NOT_DURABLE, "synchronous_commit is off", "synchronous_commit = on"),
        (Rule.AUTOVACUUM_OFF, "autovacuum is off", "autovacuum = on"),
        (Rule.IO_SYNCHRONOUS, "io_method is sync", "io_method = worker"),
        (Rule.ARCHIVING_OFF, "WAL is not archived", "archive_mode = on"),
    ],
)
async def test_a_wrong_setting_is_found(
    wrong: Settings, rule: Rule, sentence: str, remedy: str
) -> None:
    """It names the setting, and where it has to be changed: here, on the command line."""
    found = of(rule, await examined(wrong, CheckName.SETTINGS))

    assert sentence in found[0].sentence
    assert remedy in found[0].remedy


async def test_fewer_connections_than_one_worker_opens_is_an_error(wrong: Settings) -> None:
    """Twelve, three of them reserved, are not enough for two pools of eight and two more."""
    [finding] = of(Rule.CONNECTIONS_SHORT, await examined(wrong, CheckName.CONNECTIONS))

    assert finding.severity == "error"
    assert "is 9, and one worker opens up to 18" in finding.sentence


async def test_a_server_that_is_full_is_said_to_be(wrong: Settings) -> None:
    """Some more sessions, and most of what there may be is in use."""
    few = wrong.model_copy(update={"pool_size": 2})
    others = [await asyncpg.connect(secret(wrong.monitor_url)) for _ in range(6)]
    try:
        used = of(Rule.CONNECTIONS_USED, await examined(few, CheckName.CONNECTIONS))
        scarce = of(Rule.CONNECTIONS_SCARCE, await examined(few, CheckName.CONNECTIONS))
    finally:
        for other in others:
            await other.close()

    assert [finding.subject for finding in used] == ["server"]
    assert scarce == []  # without a worker, nobody wants more


async def test_more_workers_than_there_are_connections_for_are_found(wrong: Settings) -> None:
    """Each may open its pools in full at the same time."""
    few = wrong.model_copy(update={"pool_size": 2})
    admin = await asyncpg.connect(secret(wrong.monitor_url))
    try:
        await admin.execute(
            "INSERT INTO workers (id, name, version, agent_types, concurrency) "
            "SELECT n, n, '1', '{}', 1 FROM unnest(ARRAY['a', 'b']) AS n"
        )
        [finding] = of(Rule.CONNECTIONS_SCARCE, await examined(few, CheckName.CONNECTIONS))
    finally:
        await admin.execute("DELETE FROM workers")
        await admin.close()

    assert finding.sentence.startswith("2 workers may open 6 each (2 x COPYDESK_POOL_SIZE (2) + 2)")


async def test_statements_that_nobody_records_are_said_to_be_unknown(wrong: Settings) -> None:
    """The extension is there, and not loaded; then it is not there."""
    admin = await asyncpg.connect(secret(wrong.monitor_url))
    try:
        [unloaded] = of(Rule.STATEMENTS_UNRECORDED, await examined(wrong, CheckName.STATEMENTS))
        await admin.execute("DROP EXTENSION pg_stat_statements")
        [none] = of(Rule.STATEMENTS_UNRECORDED, await examined(wrong, CheckName.STATEMENTS))
        await admin.execute(none.remedy)
    finally:
        await admin.close()

    assert "is not installed" in none.sentence
    assert "shared_preload_libraries" in unloaded.remedy


async def test_what_was_prepared_and_forgotten_is_found(wrong: Settings) -> None:
    """It outlives its session, and holds its locks until the remedy is run."""
    limits = Limits(prepared=0)
    admin = await asyncpg.connect(secret(wrong.monitor_url))
    try:
        await admin.execute("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'x''y'")
        seen = await examined(wrong, CheckName.TRANSACTIONS, limits=limits)
        [finding] = of(Rule.TRANSACTION_PREPARED, seen)
        await admin.execute(finding.remedy)
        after = await examined(wrong, CheckName.TRANSACTIONS, limits=limits)
    finally:
        await admin.close()

    assert of(Rule.TRANSACTION_PREPARED, after) == []


async def test_a_slot_that_nobody_reads_is_found(wrong: Settings) -> None:
    """WAL is kept for it until the remedy is run."""
    limits = Limits(slot=-1)
    admin = await asyncpg.connect(secret(wrong.monitor_url))
    try:
        await admin.execute("SELECT pg_create_physical_replication_slot('left', true)")
        [finding] = of(
            Rule.SLOT_INACTIVE, await examined(wrong, CheckName.TRANSACTIONS, limits=limits)
        )
        await admin.execute(finding.remedy)
        after = await examined(wrong, CheckName.TRANSACTIONS, limits=limits)
    finally:
        await admin.close()

    assert "of WAL (reserved)" in finding.sentence
    assert of(Rule.SLOT_INACTIVE, after) == []


async def test_a_standby_that_is_behind_is_found(wrong: Settings, tmp_path: Path) -> None:
    """What receives WAL is seen, with how far it is; here every distance is too far."""
    receives = postgres_programs() / "pg_receivewal"
    url = secret(wrong.monitor_url).replace("/postgres?", "/?")
    process = await asyncio.create_subprocess_exec(
        receives, "--directory", tmp_path, "--dbname", url, stderr=asyncio.subprocess.DEVNULL
    )
    try:

        async def behind() -> list[Finding]:
            seen = await examined(wrong, CheckName.TRANSACTIONS, limits=Limits(lag=-1))
            return of(Rule.REPLICATION_LAG, seen)

        [finding] = await until(behind, what="the receiver is connected")
    finally:
        process.terminate()
        await process.wait()

    assert finding.subject.startswith("session ")
    assert "the standby that postgres feeds" in finding.sentence
