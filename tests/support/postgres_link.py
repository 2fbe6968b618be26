"""A link to PostgreSQL that breaks right after a COMMIT: the server did it, nobody learns of it.

A socket in a directory of its own stands in front of the server's. It reads the protocol along:
which statement each Bind runs, and where the server says "ready for query", which comes after the
COMMIT. There the answer is thrown away and the link is cut.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

_BIND, _PARSE, _BOUND, _READY = b"B"[0], b"P"[0], b"2"[0], b"Z"[0]
_NO_TLS = b"N"


@dataclass
class Link:
    """Forwards to the server of `url`; `cut` says how many answers to a statement get lost."""

    server: str
    directory: Path
    url: str
    lost: int = 0
    _cuts: dict[str, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def cut(self, name: str, times: int = 1) -> None:
        """Lose the answers to the next statements that have `name` in them, and their links."""
        self._cuts[name] = times

    def _takes(self, statement: bytes) -> bool:
        for name, times in self._cuts.items():
            if times > 0 and name.encode() in statement:
                self._cuts[name] -= 1
                return True
        return False

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one link until it ends or is cut."""
        there, forth = await asyncio.open_unix_connection(self.server)
        link = _OneLink(self._takes)
        up = asyncio.create_task(_pump(reader, forth, link.sent))
        down = asyncio.create_task(_pump(there, writer, link.answered))
        self._tasks |= {up, down}
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        self.lost += link.is_cut
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        self._tasks -= {up, down}
        writer.transport.abort()
        forth.close()

    async def close(self) -> None:
        """End every link."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Frames:
    """Messages of one direction: a type, four bytes of length, the body."""

    def __init__(self, *, has_start: bool) -> None:
        self._has_start = has_start
        self._left = b""

    def of(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._left += data
        while True:
            head = 0 if self._has_start else 1
            if len(self._left) < head + 4:
                return
            length = head + int.from_bytes(self._left[head : head + 4])
            if len(self._left) < length:
                return
            message, self._left = self._left[:length], self._left[length:]
            if self._has_start:
                # The request for TLS comes before the start; both have no type.
                self._has_start = int.from_bytes(message[4:8]) == 80877103
                continue
            yield message[0], message[5:]


class _OneLink:
    """Looks at what one link carries; answers what may go on, None to cut it."""

    def __init__(self, takes: Callable[[bytes], bool]) -> None:
        self._takes = takes
        self._sent, self._answers = _Frames(has_start=True), _Frames(has_start=False)
        self._statements: dict[bytes, bytes] = {}
        self._armed = self._bound = False
        self._began = False
        self.is_cut = False

    def sent(self, data: bytes) -> bytes:
        for kind, body in self._sent.of(data):
            if kind == _PARSE:
                name, text, _ = body.split(b"\0", 2)
                self._statements[name] = text
            elif kind == _BIND and not self._armed:
                _, name, _ = body.split(b"\0", 2)
                self._armed = self._takes(self._statements.get(name, b""))
        return data

    def answered(self, data: bytes) -> bytes | None:
        if not self._began and data[:1] == _NO_TLS and len(data) == 1:
            return data
        self._began = True
        was_armed = self._armed
        for kind, _ in self._answers.of(data):
            self._bound |= kind == _BOUND and self._armed
            if self._bound and kind == _READY:
                self.is_cut = True
                return None
        return b"" if was_armed else data


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    look: Callable[[bytes], bytes | None],
) -> None:
    while data := await reader.read(65_536):
        passed = look(data)
        if passed is None:
            return
        writer.write(passed)
        await writer.drain()


@asynccontextmanager
async def broken_link(url: str, directory: Path) -> AsyncIterator[Link]:
    """Put a link in front of the server of `url`, a URL with a socket's directory in it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    port = query["port"][0]
    name = f".s.PGSQL.{port}"
    own = urlunsplit(parts._replace(query=f"host={directory}&port={port}"))
    link = Link(f"{query['host'][0]}/{name}", directory, own)
    server = await asyncio.start_unix_server(link.accept, directory / name)
    try:
        yield link
    finally:
        server.close()
        await link.close()
