"""The slots of a worker: how many attempts may run at a time, and who may have the next free one.

A slot is taken before the database is asked for work, and given back when nothing came of it or
the attempt is over, so that hints and sweeps together never claim more than can run.
"""

import asyncio

from worker.telemetry import Source


class Slots:
    """`total` slots; open until `close`."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0
        self._kept = 0
        self._open = True
        self._changed = asyncio.Event()
        self._full = asyncio.Event()

    @property
    def free(self) -> int:
        """How many are not taken."""
        return self.total - self.taken

    @property
    def is_open(self) -> bool:
        """Whether any may still be taken."""
        return self._open

    def room(self, source: Source) -> int:
        """Return how many may be taken now for what `source` tells of."""
        kept = self._kept if source == "hint" else 0
        return max(self.free - kept, 0) if self._open else 0

    def take(self, count: int) -> None:
        """Take free slots."""
        self.taken += count
        if self.free <= 0:
            self._full.set()

    def give_back(self, count: int) -> None:
        """Give back slots that were taken."""
        self.taken -= count
        self._changed.set()

    def keep_for_sweep(self, count: int) -> None:
        """Keep the next so many free slots from what hints tell of; 0 lets go of them."""
        self._kept = count
        self._changed.set()

    def close(self) -> None:
        """Let nobody take any more."""
        self._open = False
        self._changed.set()

    async def wait_for_room(self, source: Source) -> None:
        """Return when there is room for `source`, or will never be again."""
        while self._open and self.room(source) == 0:
            self._changed.clear()
            await self._changed.wait()

    async def wait_until_full(self) -> None:
        """Return when every slot is taken."""
        while self.free > 0:
            self._full.clear()
            await self._full.wait()
