"""Notices when the event loop stands still, and says whose code holds it.

A coroutine that computes or waits without `await` holds up every other attempt of the worker, and
its heartbeat. Nothing can take the loop away from it; leases may run out, and the fence then
refuses what comes late. What can be done is to name it: a thread looks whether the loop still
turns, and logs the agent and the place once when it does not, and how long it took when it does
again. Places are file, line and function; no value is read.
"""

import asyncio
import re
import sys
import threading
import traceback
from time import monotonic, process_time

import structlog

_NAMED = re.compile(r"attempt (?P<execution_id>\S+)(?: of (?P<agent>\S+))?")
_FRAMES = 12


class Watchdog:
    """Watches the event loop that `run` runs on.

    Args:
        after: seconds without a turn that are worth a warning.
    """

    def __init__(self, *, after: float) -> None:
        self._after = after
        self._begun = self._beat = 0.0
        self._over = threading.Event()
        self._log = structlog.get_logger("copydesk.watchdog")

    async def run(self) -> None:
        """Watch until cancelled."""
        self._beat = self._begun = monotonic()
        bound = structlog.contextvars.get_contextvars()
        watcher = threading.Thread(
            target=self._watch,
            args=(asyncio.get_running_loop(), threading.get_ident(), bound, process_time()),
            name="copydesk-watchdog",
            daemon=True,
        )
        watcher.start()
        try:
            while True:
                self._beat = monotonic()
                await asyncio.sleep(self._after / 4)
        finally:
            self._over.set()
            watcher.join(timeout=1)

    def _watch(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: int,
        bound: dict[str, object],
        worked: float,
    ) -> None:
        structlog.contextvars.bind_contextvars(**bound)
        looked = since = self._begun
        held: float | None = None
        while not self._over.wait(self._after / 4):
            now, work = monotonic(), process_time()
            if _was_paused(now - looked, work - worked, self._after):
                since = now
            looked, worked = now, work
            since = max(since, self._beat)
            if held is None and now - since >= self._after:
                held = since
                self._tell(loop, thread, now - since)
            elif held is not None and since > held:
                self._log.info("loop_turns_again", seconds=round(since - held, 3))
                held = None

    def _tell(self, loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> None:
        task = asyncio.current_task(loop)
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way
        places = [
            f"{place.filename}:{place.lineno} in {place.name}"
            for place in traceback.StackSummary.extract(
                traceback.walk_stack(frame), limit=_FRAMES, lookup_lines=False
            )
        ]
        name = task.get_name() if task else ""
        whose = _NAMED.fullmatch(name)
        self._log.warning(
            "loop_blocked",
            **({key: value for key, value in whose.groupdict().items() if value} if whose else {}),
            task=name,
            seconds=round(seconds, 3),
            frames=places,
        )


def _was_paused(elapsed: float, worked: float, after: float) -> bool:
    """Whether the whole process stood still (SIGSTOP, a machine asleep), and not the loop alone.

    Code that holds the interpreter's lock stops this thread too, but it uses the processor.
    """
    return elapsed > after and worked < elapsed / 10
