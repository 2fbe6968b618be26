"""A TCP proxy that writes down every byte it carries, as somebody on the way could."""

import asyncio
from types import TracebackType
from typing import Self


class Recorder:
    """Forwards a port of its own to another one of this machine."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.sent = bytearray()
        self.answered = bytearray()

    @property
    def carried(self) -> bytes:
        """Everything, in both directions."""
        return bytes(self.sent + self.answered)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(w.wait_closed() for w in self._writers), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connecting = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(connecting)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._behind)
        self._writers.add(there[1])
        for source, target, record in (
            (reader, there[1], self.sent),
            (there[0], writer, self.answered),
        ):
            self._tasks.add(asyncio.create_task(_pump(source, target, record)))


async def _pump(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, record: bytearray
) -> None:
    try:
        while data := await source.read(65_536):
            record += data
            target.write(data)
            await target.drain()
    except ConnectionError:
        return
    finally:
        target.close()
