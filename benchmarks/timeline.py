"""`python -m benchmarks.timeline`: where the milliseconds of a lone execution go, step by step.

Client and worker note when each step began or was answered, on the clock that all processes of a
machine share. One execution at a time, twenty a second: a step belongs to the last one enqueued.
"""

import argparse
import asyncio
import os
import sys
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TextIO

import uvloop

from benchmarks.figures import markdown
from benchmarks.stage import Stage, WrongError, opened_stage
from benchmarks.work import INPUT
from worker.client import Client
from worker.ledger import Ledger
from worker.queue.hints import HintSender
from worker.queue.moves import QueueMoves
from worker.queue.signals import Signals
from worker.queue.wakeups import WakeUps

_NOTES = "COPYDESK_BENCH_NOTES"
_SPACING = 0.05
_WARM = 20
_BEGUN = "enqueue begins"
_SEEN = "the client has seen it completed"
# In the order in which they happen.
_STEPS = (
    "the client: PostgreSQL has recorded it",
    "the client: the hint goes to Redis",
    "the worker: Redis says that the queue has changed",
    "the worker: the hint is taken",
    "the worker: the claim goes to PostgreSQL",
    "the worker: the claim is answered",
    "the worker: the agent has run, the completion goes to PostgreSQL",
    "the worker: the completion is answered",
    "the worker: whoever waits is told",
    _SEEN,
)


class Notes:
    """Notes steps as they happen: a line each, with the time."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def note(self, step: str) -> None:
        """Note that a step is done now."""
        self._file.write(f"{perf_counter()} {step}\n")

    def watch(self, kind: type, name: str, *, before: str = "", after: str = "") -> None:
        """Note a step before or after each call of a method."""
        method: Callable[..., Awaitable[Any]] = getattr(kind, name)

        async def watched(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the method's own
            if before:
                self.note(before)
            answer = await method(*arguments, **named)
            if after:
                self.note(after)
            return answer

        setattr(kind, name, watched)

    def watch_client(self) -> None:
        """Note the steps of a client."""
        self.watch(Ledger, "_enqueue", after=_STEPS[0])
        self.watch(HintSender, "_send", before=_STEPS[1])

    def watch_worker(self) -> None:
        """Note the steps of a worker."""
        heard = WakeUps._heard  # noqa: SLF001 - nothing public tells of it

        def woken(*arguments: Any) -> None:  # noqa: ANN401 - the method's own
            self.note(_STEPS[2])
            heard(*arguments)

        WakeUps._heard = woken  # type: ignore[method-assign,assignment]  # noqa: SLF001
        self.watch(QueueMoves, "claim", after=_STEPS[3])
        self.watch(Ledger, "claim", before=_STEPS[4], after=_STEPS[5])
        self.watch(Ledger, "_complete", before=_STEPS[6], after=_STEPS[7])
        self.watch(Signals, "publish_ended", before=_STEPS[8])


async def _follow(stage: Stage, number: int, file: Path) -> None:
    await stage.prepare()
    with file.open("a", buffering=1) as out:
        notes = Notes(out)
        notes.watch_client()
        async with (
            stage.ground(projects=10) as ground,
            ground.process("-m", "benchmarks.timeline", "worker", **{_NOTES: str(file)}),
            Client(ground.settings) as client,
        ):
            for place in range(number + _WARM):
                project = ground.projects[place % 10]
                notes.note(_BEGUN)
                made = await client.enqueue(project, "draft", INPUT, requested_by=ground.user)
                await client.wait(project, made.correlation_id, timeout=60)
                notes.note(_SEEN)
                await asyncio.sleep(_SPACING)
            await ground.check(number + _WARM)


def _read(file: Path) -> list[tuple[float, str]]:
    lines = (line.split(" ", 1) for line in file.read_text().splitlines())
    return sorted((float(when), step) for when, step in lines)


def _table(noted: list[tuple[float, str]]) -> str:
    begun = [when for when, step in noted if step == _BEGUN][_WARM:]
    firsts: dict[str, dict[int, float]] = {step: {} for step in _STEPS}
    for when, step in noted:
        life = bisect_right(begun, when) - 1
        if step in firsts and life >= 0:
            # What a step does again (a look that finds nothing) comes after what counts.
            firsts[step].setdefault(life, when - begun[life])
    rows: list[tuple[str, ...]] = []
    last = 0.0
    for step in _STEPS:
        if not firsts[step]:
            raise WrongError(f"nobody came to this: {step}")
        at = median(firsts[step].values()) * 1000
        rows.append((step, f"{at:.2f}", f"{at - last:.2f}"))
        last = at
    return markdown(("step", "ms after it began", "of its own"), rows)


def main() -> int:
    """Follow executions, or be the worker that is followed."""
    if sys.argv[1:] == ["worker"]:
        from worker.cli import main as copydesk  # noqa: PLC0415 - the worker's alone

        Notes(Path(os.environ[_NOTES]).open("a", buffering=1)).watch_worker()  # noqa: SIM115
        copydesk()
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeline")
    parser.add_argument("--executions", type=int, default=200)
    given = parser.parse_args()
    with opened_stage() as stage:
        file = stage.home / "timeline"
        uvloop.run(_follow(stage, given.executions, file))
        noted = _read(file)
    print(_table(noted))  # noqa: T201 - a benchmark talks
    return 0


if __name__ == "__main__":
    sys.exit(main())
