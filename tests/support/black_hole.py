"""A proxy in front of PostgreSQL's socket that can become a black hole, as a lost route would."""

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

from tests.support.databases import DatabaseUrls


class BlackHole:
    """Forwards to a database; after `freeze`, links that are open say nothing and stay open.

    New links work unless `deaf`: then they are taken, and never answered.
    """

    def __init__(self, database: DatabaseUrls) -> None:
        self._behind = database
        query = parse_qs(urlsplit(database.admin).query)
        self._host, self._port = query["host"][0], query["port"][0]
        self._directory = Path(tempfile.mkdtemp(prefix="hole-", dir="/tmp"))  # a short path
        self._epoch = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.deaf = False

    @property
    def database(self) -> DatabaseUrls:
        """The database as it is reached through the proxy."""
        here, there = quote(str(self._directory), safe=""), quote(self._host, safe="")
        admin = self._behind.admin.replace(self._host, str(self._directory))
        return replace(self._behind, admin=admin.replace(there, here))

    def freeze(self) -> None:
        """Carry nothing any more on the links that are open now, without closing them."""
        self._epoch += 1

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(
            self._accept, self._directory / f".s.PGSQL.{self._port}"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        shutil.rmtree(self._directory)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = Path(self._host) / f".s.PGSQL.{self._port}"
        there = await asyncio.open_unix_connection(place)
        epoch = -1 if self.deaf else self._epoch
        for source, target in ((reader, there[1]), (there[0], writer)):
            self._pumps.add(asyncio.create_task(self._pump(source, target, epoch)))

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, epoch: int
    ) -> None:
        try:
            while data := await source.read(65_536):
                if epoch == self._epoch:
                    target.write(data)
                    await target.drain()
        except ConnectionError:
            return
        finally:
            target.close()
