"""TLS: workers, clients, commands and plain arq, encrypted and checked, or not connected at all."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from arq.connections import RedisSettings, create_pool
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from models.states import State
from tests.conftest import make_settings
from tests.support.desk import AGENTS, Desk
from tests.support.recorder import Recorder
from tests.support.tls import PASSWORD, Certificates, TlsPostgres, TlsRedis
from tests.support.waiting import until
from tests.support.workers import environment, worker_process
from worker.backup import BackupError
from worker.backup.programs import run_program
from worker.client import Client
from worker.embedded.postgres import postgres_programs
from worker.errors import CopydeskError, SettingsError
from worker.ledger import MovePool
from worker.settings import Settings

CANARY = "canary-in-a-document"


def tls_settings(
    postgres: TlsPostgres, redis_url: str, *, pg_port: int = 0, **more: Any
) -> Settings:
    """Return settings in which every URL checks the server, and dispatch shows a certificate."""
    own = {
        "sslcert": str(postgres.certificates.certificate("client")),
        "sslkey": str(postgres.certificates.key("client")),
    }
    urls = {
        "database_url": postgres.url("copydesk_app", port=pg_port),
        "dispatch_url": postgres.url("copydesk_dispatch", port=pg_port, **own),
        "owner_url": postgres.url("copydesk_owner", port=pg_port),
    }
    return make_settings(postgres.database, redis_url, **{"agents": AGENTS, **urls, **more})


async def said_by(*command: str, **variables: str) -> tuple[int, str]:
    """Run a command with these variables; return its exit code and all it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_everything_works_and_nothing_goes_over_the_wire_in_clear(
    postgres: TlsPostgres, tls_only_redis: TlsRedis, tmp_path: Path
) -> None:
    """A worker with a stable name, a client, commands, and a producer that knows only arq."""
    async with Recorder(postgres.port) as pg_wire, Recorder(tls_only_redis.port) as redis_wire:
        settings = tls_settings(
            postgres,
            tls_only_redis.url(port=redis_wire.port),
            pg_port=pg_wire.port,
            stable_name=True,
            worker_name="tls",
        )
        user = await postgres.database.add_user()
        project = await postgres.database.add_project(user)
        log = tmp_path / "worker.log"
        async with Client(settings) as client, worker_process(settings, log) as worker:
            await until(lambda: worker.is_ready, within=30)
            desk = Desk(client, postgres.database, project, user, tmp_path)
            report = await desk.run("echo", {"document_type": "notes", "value": CANARY})
            assert (report.status, report.output) == (State.COMPLETED, {"value": CANARY})
            held = await desk.enqueue("gated", desk.gate())
            await desk.begun()
            await client.cancel(project, held)
            assert (await desk.final(held)).status == State.CANCELLED

            arq = RedisSettings(
                host="localhost",
                port=redis_wire.port,
                password=PASSWORD,
                ssl=True,
                ssl_check_hostname=True,
                ssl_ca_certs=str(tls_only_redis.certificates.root),
            )
            producer = await create_pool(arq)
            job = await producer.enqueue_job(
                "run_agent",
                project_id=str(project),
                agent_type="echo",
                input={"value": CANARY},
                requested_by=str(user),
            )
            assert job is not None
            await job.result(timeout=15, poll_delay=0.05)
            await producer.aclose(close_connection_pool=True)

            given = environment(settings, COPYDESK_PROJECT=str(project))
            code, said = await said_by(
                "worker", "status", str(report.correlation_id), "--json", **given
            )
            assert (code, CANARY in said) == (0, True), said
            code, said = await said_by("worker", "db", "check", **given)
            assert (code, said) == (0, "the database is what the models say\n")
            code, said = await said_by("worker", "quarantine", **given)
            assert (code, said) == (0, "the quarantine is empty\n")

            async def healthy() -> bool:
                code, _ = await said_by("arq", "--check", "worker.WorkerSettings", **given)
                return code == 0

            await until(healthy, what="arq --check")
            [row] = await postgres.database.ask(
                "SELECT bool_and(ssl) AS ssl, count(*) AS n FROM pg_stat_ssl JOIN "
                "pg_stat_activity USING (pid) WHERE usename ~ '^copydesk'"
            )
            assert row["ssl"]
            assert row["n"] >= 4
            assert "redis_unavailable" not in worker.log
    for wire in (pg_wire, redis_wire):
        assert len(wire.sent) > 1000
        for word in (PASSWORD, CANARY, "copydesk_app", "set_config", "arq:queue", str(project)):
            assert word.encode() not in wire.carried


async def test_somebody_on_the_way_would_see_it_in_clear(redis_url: str) -> None:
    """The recorder sees what it looks for where there is no TLS."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with Recorder(port) as wire:
        redis = Redis.from_url(redis_url.replace(f":{port}", f":{wire.port}"))
        await redis.set("copydesk:seen", CANARY)
        assert await redis.get("copydesk:seen") == CANARY.encode()
        await redis.aclose()
    assert wire.sent.count(CANARY.encode()) == 1
    assert wire.answered.count(CANARY.encode()) == 1


WRONG = ["another CA", "another name", "expired", "no TLS"]


@asynccontextmanager
async def wrong_server(how: str, server: TlsPostgres | TlsRedis) -> AsyncIterator[dict[str, str]]:
    """Make the server one that must not be trusted; yield what the URL has to say instead."""
    certificates: Certificates = server.certificates
    is_redis = isinstance(server, TlsRedis)
    if how == "expired":
        await asyncio.to_thread(server.show, "expired")
        try:
            yield {}
        finally:
            await asyncio.to_thread(server.show, "server")
    elif how == "another CA":
        name = "ssl_ca_certs" if is_redis else "sslrootcert"
        yield {name: str(certificates.stranger)}
    elif how == "another name":
        yield {"host": "127.0.0.1"}
    else:
        yield {} if is_redis else {"sslmode": "disable"}


EXPECTED = {
    "another CA": ("database_not_trusted", "PostgreSQL's certificate is not trusted ("),
    "another name": ("database_not_trusted", "certificate is not valid for '127.0.0.1'"),
    "expired": ("database_not_trusted", "certificate has expired"),
    "no TLS": ("database_login_refused", "whether it wants TLS (sslmode=verify-full"),
}


@pytest.mark.parametrize("how", WRONG)
async def test_a_postgresql_that_is_not_trusted_is_told_nothing(
    how: str, postgres: TlsPostgres, tls_only_redis: TlsRedis
) -> None:
    """One line says why, by client, worker and command; no password leaves, nor shows."""
    code, words = EXPECTED[how]
    async with wrong_server(how, postgres) as options, Recorder(postgres.port) as wire:
        url = postgres.url("copydesk_app", port=wire.port, **options)
        async with MovePool(url, size=1) as pool:
            with pytest.raises(CopydeskError) as refused:
                await pool.call("SELECT 1")
        assert refused.value.code == code
        assert words in refused.value.message
        assert PASSWORD not in str(refused.value)
        given = environment(
            tls_settings(postgres, tls_only_redis.url()),
            COPYDESK_DATABASE_URL=url,
            COPYDESK_OWNER_URL=url.replace("copydesk_app", "copydesk_owner"),
        )
        for command in (("worker",), ("db", "check")):
            exit_code, said = await said_by("worker", *command, **given)
            assert exit_code == (1 if how == "no TLS" else 3)
            assert said.count("\n") == 1
            assert (words if how != "no TLS" or command == ("worker",) else "no encryption") in said
            assert PASSWORD not in said
    assert PASSWORD.encode() not in wire.carried
    if how != "no TLS":
        # The wish for TLS, a handshake, and an alert: nothing of the protocol itself.
        assert b"copydesk" not in wire.carried


async def test_a_server_without_tls_gets_nothing_but_the_wish() -> None:
    """Where the URL demands TLS, eight bytes ask for it, and a no ends the connection."""
    got, ended = bytearray(), asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.read(1000))
        writer.write(b"N")
        got.extend(await reader.read(1000))
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://copydesk_app:{PASSWORD}@localhost:{port}/copydesk?sslmode=require"
    async with MovePool(url, size=1) as pool:
        with pytest.raises(CopydeskError, match="offers no TLS") as refused:
            await pool.call("SELECT 1")
    await ended.wait()
    server.close()
    assert refused.value.code == "database_not_trusted"
    assert len(got) == 8


REDIS_SAYS = {
    "another CA": "certificate verify failed: self-signed certificate in certificate chain",
    "another name": "certificate is not valid for '127.0.0.1'",
    "expired": "certificate has expired",
    "no TLS": "Connection",
}


@pytest.mark.parametrize("how", WRONG)
async def test_a_redis_that_is_not_trusted_is_told_nothing(
    how: str, postgres: TlsPostgres, tls_only_redis: TlsRedis, tmp_path: Path
) -> None:
    """Work goes on without it, as without any Redis; one line says why, and no password leaves."""
    user = await postgres.database.add_user()
    project = await postgres.database.add_project(user)
    async with wrong_server(how, tls_only_redis) as options, Recorder(tls_only_redis.port) as wire:
        url = tls_only_redis.url(port=wire.port, **options)
        if how == "no TLS":
            url = f"redis://:{PASSWORD}@localhost:{wire.port}/0"
        settings = tls_settings(postgres, url)
        log = tmp_path / "worker.log"
        async with Client(settings) as client, worker_process(settings, log) as worker:
            await until(lambda: worker.is_ready, within=30)
            desk = Desk(client, postgres.database, project, user, tmp_path)
            assert (await desk.run("echo", {"value": CANARY})).status == State.COMPLETED
            await until(lambda: '"redis_unavailable"' in worker.log)
            lines = [line for line in worker.log.splitlines() if '"redis_unavailable"' in line]
            assert all(REDIS_SAYS[how] in line for line in lines), lines
        code, said = await said_by("worker", "quarantine", **environment(settings))
        assert code == 3
        assert said.count("\n") == 1
        assert REDIS_SAYS[how] in said
        assert PASSWORD not in worker.log + said
    # Without TLS in the URL the password is sent to whoever listens: that is what the s is for.
    if how != "no TLS":
        assert PASSWORD.encode() not in wire.carried
        assert str(project).encode() not in wire.carried


async def test_a_certificate_that_is_not_there_is_told_by_its_parameter(
    postgres: TlsPostgres,
) -> None:
    """Not as a server that does not answer; and the path is not repeated."""
    for name in ("sslrootcert", "sslcert", "sslkey"):
        url = f"{postgres.url('copydesk_app')}&{name}=/no/such/file"
        async with MovePool(url, size=1) as pool:
            with pytest.raises(SettingsError, match=f"^{name} in a PostgreSQL URL names a file"):
                await pool.call("SELECT 1")


async def test_a_role_that_must_show_a_certificate_and_does_not_is_refused(
    postgres: TlsPostgres,
) -> None:
    """The right password alone does not let dispatch in."""
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="client certificate"):
        await asyncpg.connect(postgres.url("copydesk_dispatch"))


async def test_a_pg_dump_without_tls_says_what_to_install(
    postgres: TlsPostgres, tmp_path: Path
) -> None:
    """That of the wheel has none; nothing is sent by it, and nothing is left."""
    program = postgres_programs() / "pg_dump"
    url = postgres.url("copydesk_backup")
    file = tmp_path / "b.dump"
    expected = "SSL support is not compiled in; take the one of postgresql-client"
    with pytest.raises(BackupError, match=expected):
        await run_program(program, url, f"--file={file}", fault=BackupError)


async def test_redis_speaks_to_no_plain_client(tls_only_redis: TlsRedis) -> None:
    """The server of these tests is one that speaks TLS only."""
    redis = Redis(host="localhost", port=tls_only_redis.port, password=PASSWORD)
    with pytest.raises(RedisConnectionError):
        await redis.ping()
    await redis.aclose()
