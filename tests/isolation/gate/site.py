"""A PostgreSQL of the gate's own: its tests break roles, which belong to a whole cluster.

Its databases are made from a migrated template. One that was broken is used again when nothing is
left of it; otherwise it is thrown away.
"""

import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from unittest import mock

from models.roles import APP, DISPATCH
from tests.support.databases import DatabaseUrls, clone, drop
from worker.embedded import postgres
from worker.embedded.servers import prepared_home
from worker.findings import Examination
from worker.gate import examine_isolation
from worker.ledger import MovePool

SETTINGS = {**postgres.SETTINGS, "shared_buffers": "64MB", "fsync": "off", "wal_level": "logical"}


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server for as long as the context lasts; yield the superuser's URL."""
    with tempfile.TemporaryDirectory(prefix="copydesk-gate-") as directory:
        Path(directory).chmod(0o711)
        server = postgres.Postgres(prepared_home(Path(directory) / "home"))
        try:
            with mock.patch.dict(postgres.SETTINGS, SETTINGS, clear=True):
                server.start()
            server.wait_ready()
            yield postgres.socket_url(server.socket_directory, "postgres", "postgres")
        finally:
            server.stop()


# All that there is in a database, but for privileges, which the gate compares one by one.
CONTENTS = """
    SELECT md5(string_agg(contents.part, E'\\n' ORDER BY contents.part COLLATE "C"))
    FROM (
        SELECT concat_ws(' ', 'class', relnamespace::regnamespace, relname, relkind, relowner,
                         relrowsecurity, relforcerowsecurity, reloptions)
        FROM pg_class WHERE relnamespace <> 'pg_toast'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', 'column', c.relname, a.attname, a.atttypid, a.attnotnull,
                         pg_get_expr(d.adbin, d.adrelid))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.oid >= 16384
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0
        UNION ALL
        SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid),
                         conenforced, convalidated) FROM pg_constraint
        UNION ALL
        SELECT concat_ws(' ', 'policy', polrelid::regclass, polname, polcmd, polpermissive,
                         polroles, pg_get_expr(polqual, polrelid),
                         pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy
        UNION ALL
        SELECT concat_ws(' ', 'function', oid::regprocedure, proowner, prosecdef, proleakproof,
                         proconfig) FROM pg_proc
        UNION ALL
        SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgfoid, tgtype, tgenabled)
        FROM pg_trigger
        UNION ALL SELECT concat_ws(' ', 'rule', ev_class::regclass, rulename) FROM pg_rewrite
        UNION ALL SELECT concat_ws(' ', 'schema', nspname, nspowner) FROM pg_namespace
        UNION ALL SELECT concat_ws(' ', 'extension', extname) FROM pg_extension
        UNION ALL SELECT concat_ws(' ', 'large object', oid) FROM pg_largeobject_metadata
        UNION ALL SELECT concat_ws(' ', 'server', srvname) FROM pg_foreign_server
        UNION ALL SELECT concat_ws(' ', 'publication', pubname) FROM pg_publication
        UNION ALL SELECT concat_ws(' ', 'event trigger', evtname) FROM pg_event_trigger
        UNION ALL
        SELECT concat_ws(' ', 'setting', s.setrole, s.setconfig)
        FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
        WHERE d.datname = current_database()
        UNION ALL
        SELECT concat_ws(' ', 'database', datdba)
        FROM pg_database WHERE datname = current_database()
    ) AS contents (part)
"""


class Bench:
    """Holds one migrated database to break, and makes another when that one is used up."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._database: DatabaseUrls | None = None
        self._contents = ""

    async def database(self) -> DatabaseUrls:
        """Return a database with which nothing is wrong."""
        if self._database is None:
            self._database = await clone(self._admin_url)
            self._contents = await _contents(self._database)
        return self._database

    async def put_back(self) -> None:
        """Take a database back in which the gate finds no fault; only one like new is kept."""
        if self._database is not None and await _contents(self._database) != self._contents:
            await self.throw_away()

    async def throw_away(self) -> None:
        """Drop the database: the next one that is asked for is new."""
        if self._database is not None:
            await drop(self._admin_url, self._database.name)
            self._database = None


async def _contents(database: DatabaseUrls) -> str:
    [row] = await database.ask(CONTENTS)
    return str(row["md5"])


async def examined(
    database: DatabaseUrls, *, app: str | None = None, dispatch: str | None = None
) -> Examination:
    """Return what the gate says of a database, as a worker with these URLs would see it."""
    urls = {APP: app or database.app, DISPATCH: dispatch or database.dispatch}
    async with AsyncExitStack() as stack:
        pools = {
            role: await stack.enter_async_context(MovePool(url, size=1))
            for role, url in urls.items()
        }
        return await examine_isolation(pools)
