"""PostgreSQL crashed, full, locked, read-only: outcomes are kept, and recorded once it is well."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from models.states import State
from tests.conftest import make_settings
from tests.support.databases import DatabaseUrls
from tests.support.desk import AGENTS, Desk
from tests.support.invariants import check
from tests.support.ones_own import OwnPostgres, own_postgres
from tests.support.waiting import until
from tests.support.workers import running_worker, worker_process
from tests.worker.test_outages import cut
from worker.client import Client
from worker.errors import DatabaseUnavailableError
from worker.settings import Settings


@asynccontextmanager
async def desk_of(
    server: OwnPostgres, redis_url: str, directory: Path
) -> AsyncIterator[tuple[Desk, Settings]]:
    """Open a desk on a cluster of the test's own."""
    settings = make_settings(
        server.database, redis_url, agents=AGENTS, lease=1.5, heartbeat=0.4, drain_grace=1
    )
    user = await server.database.add_user()
    project = await server.database.add_project(user)
    async with Client(settings) as client:
        yield Desk(client, server.database, project, user, directory), settings


async def accepted_or_not(desk: Desk, key: str, *, filler: str = "") -> bool:
    """Enqueue once; the only refusal that is allowed here is one that invites another try."""
    payload = {"document_type": "notes", "value": filler}
    try:
        await desk.enqueue("echo", payload, idempotency_key=key, max_attempts=50)
    except DatabaseUnavailableError:
        return False
    return True


async def all_ended(desk: Desk, keys: list[str]) -> None:
    """Check that everything accepted completes, that a probe does, and what is recorded."""

    async def ended() -> bool:
        rows = await desk.database.ask(
            "SELECT idempotency_key AS key FROM agent_executions WHERE status = 'completed'"
        )
        return set(keys) <= {row["key"] for row in rows}

    await until(ended, within=30, what="the end of everything accepted")
    assert (await desk.run("echo", {"value": 1})).status == State.COMPLETED
    await check(desk.database)


async def answers(desk: Desk) -> bool:
    """Return whether the database answers."""
    try:
        await desk.database.ask("SELECT 1")
    except Exception:  # noqa: BLE001 - whichever way it does not
        return False
    return True


async def test_a_postgresql_that_crashes_under_load_loses_and_doubles_nothing(
    redis_url: str, tmp_path: Path
) -> None:
    """F29: once a backend dies and takes all others along, once the whole server does."""
    async with (
        own_postgres(tmp_path / "home") as server,
        desk_of(server, redis_url, tmp_path) as (desk, settings),
        worker_process(settings, tmp_path / "log") as worker,
    ):
        await until(lambda: worker.is_ready, within=30)
        held = await desk.enqueue("gated", desk.gate(), max_attempts=50)
        await desk.begun()
        keys: list[str] = []
        for crash in ("backend", "server"):
            for n in range(60):
                if n == 30 and crash == "backend":
                    [row] = await desk.database.ask(
                        "SELECT pid FROM pg_stat_activity WHERE usename = 'copydesk_app' LIMIT 1"
                    )
                    os.kill(row["pid"], signal.SIGKILL)
                if n == 30 and crash == "server":
                    await asyncio.to_thread(server.crash)
                    assert not await accepted_or_not(desk, "never")
                    await asyncio.to_thread(server.restart)
                if await accepted_or_not(desk, f"{crash}-{n}"):
                    keys.append(f"{crash}-{n}")
            assert keys
            await until(lambda: answers(desk), within=30)
        desk.open_gate()
        await all_ended(desk, keys)
        report = await desk.final(held)
        assert (report.status, worker.log.count("Traceback")) == (State.COMPLETED, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is soon full."""
    home = tmp_path / "disk"
    home.mkdir()
    mount = shutil.which("mount") or "/bin/mount"
    umount = shutil.which("umount") or "/bin/umount"
    options = [mount, "-t", "tmpfs", "-o", "size=256m,mode=0711", "tmpfs", str(home)]
    if subprocess.run(options, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a disk of the test's own")
    yield home
    subprocess.run([umount, str(home)], check=True)


async def test_a_full_disk_refuses_clearly_and_loses_nothing(
    small_disk: Path, redis_url: str, tmp_path: Path
) -> None:
    """F32: nothing is accepted that cannot be kept; with room again, all of it is done."""
    async with (
        own_postgres(small_disk) as server,
        desk_of(server, redis_url, tmp_path) as (desk, settings),
        worker_process(settings, tmp_path / "log") as worker,
    ):
        await until(lambda: worker.is_ready, within=30)
        assert (await desk.run("echo")).status == State.COMPLETED
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
        keys: list[str] = []
        while await accepted_or_not(desk, f"k-{len(keys)}", filler=os.urandom(8192).hex()):
            keys.append(f"k-{len(keys)}")
            assert len(keys) < 3000, "the disk was never full"
        ballast.unlink()
        if not await answers(desk):  # it gave up when it could not write its log
            await asyncio.to_thread(server.crash)
            await asyncio.to_thread(server.restart)
        await until(lambda: answers(desk), within=30)
        await all_ended(desk, keys)


async def test_a_primary_that_turns_read_only_refuses_clearly_and_is_waited_for(
    redis_url: str, tmp_path: Path
) -> None:
    """F36: an outcome is kept until it can be written; nothing is accepted meanwhile."""
    async with (
        own_postgres(tmp_path / "home") as server,
        desk_of(server, redis_url, tmp_path) as (desk, settings),
        worker_process(settings.model_copy(update={"lease": 30}), tmp_path / "log") as worker,
    ):
        await until(lambda: worker.is_ready, within=30)
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun()
        await desk.database.ask("ALTER SYSTEM SET default_transaction_read_only = on")
        await desk.database.ask("SELECT pg_reload_conf()")

        async def refused() -> bool:
            return not await accepted_or_not(desk, "early")

        await until(refused)
        desk.open_gate()
        await until(lambda: '"outcome_kept_back"' in worker.log)
        async with desk.database.oracle() as judge:
            await judge.execute("SET default_transaction_read_only = off")
            await judge.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await judge.execute("SELECT pg_reload_conf()")
        report = await desk.final(execution)
        assert (report.status, report.attempt) == (State.COMPLETED, 1)
        await all_ended(desk, [])


async def test_sessions_that_were_opened_read_only_are_not_kept(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """F36: a link to what was a standby is replaced, once it is clear that it cannot write."""
    async with running_worker(settings):
        async with database.oracle() as judge:
            await judge.execute(
                f"ALTER DATABASE {database.name} SET default_transaction_read_only = on"
            )
            await cut(database)

            async def refused() -> bool:
                return not await accepted_or_not(desk, "early")

            await until(refused)
            await judge.execute("SET default_transaction_read_only = off")
            await judge.execute(
                f"ALTER DATABASE {database.name} RESET default_transaction_read_only"
            )

        async def accepted() -> bool:
            return await accepted_or_not(desk, "later")

        await until(accepted, within=10)
        await all_ended(desk, ["later"])


async def test_a_clients_session_that_was_opened_read_only_is_not_kept(
    client: Client, database: DatabaseUrls, user: UUID
) -> None:
    """F36: whoever creates a project is told to try again, and then reaches who can write."""
    async with database.oracle() as judge:
        await judge.execute(
            f"ALTER DATABASE {database.name} SET default_transaction_read_only = on"
        )
        with pytest.raises(DatabaseUnavailableError) as told:
            await client.create_project(name="Early", created_by=user)
        assert told.value.retryable
        await judge.execute("SET default_transaction_read_only = off")
        await judge.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")

    later = await client.create_project(name="Later", created_by=user)
    assert [row["name"] for row in await database.ask("SELECT name FROM projects")] == ["Later"]
    assert await client.documents(later) == []


async def test_without_a_connection_to_spare_callers_are_told_and_work_goes_on(
    settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """F31: what was accepted is done over the connections there are."""
    async with running_worker(settings):
        executions = [await desk.enqueue("gated", desk.gate()) for _ in range(4)]
        await desk.until_event(executions[-1], "claimed")
        async with database.oracle() as judge:
            await judge.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
            async with Client(settings) as late:
                with pytest.raises(DatabaseUnavailableError, match="53300") as told:
                    await replace(desk, client=late).enqueue("echo")
                assert told.value.retryable
            desk.open_gate()
            await judge.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
        reports = await desk.finals(executions)
        assert {(r.status, r.attempt) for r in reports} == {(State.COMPLETED, 1)}
        await all_ended(desk, [])


@pytest.mark.parametrize("limit", ["lock_timeout", "statement_timeout"])
async def test_a_completion_that_waits_too_long_is_tried_again_and_not_failed(
    limit: str, settings: Settings, desk: Desk, database: DatabaseUrls
) -> None:
    """F33, F34: the attempt is the same, the version is one."""
    await database.ask(f"ALTER ROLE copydesk_app IN DATABASE {database.name} SET {limit} = '200ms'")
    with capture_logs() as lines:
        async with running_worker(settings.model_copy(update={"lease": 30})):
            execution = await desk.enqueue("gated", desk.gate())
            await desk.begun()
            async with database.oracle() as judge, judge.transaction():
                await judge.execute("LOCK TABLE document_versions IN EXCLUSIVE MODE")
                desk.open_gate()
                kept_back = await until(
                    lambda: [e for e in lines if e["event"] == "outcome_kept_back"]
                )
            report = await desk.final(execution)
            await all_ended(desk, [])
    assert {line["code"] for line in kept_back} == {"database_unavailable"}
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 1, 0)
