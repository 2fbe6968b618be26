"""The watchdog: names the agent that holds up the event loop, once, and stays silent otherwise."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.desk import Desk
from tests.support.waiting import until
from tests.support.workers import worker_process
from worker.settings import Settings
from worker.watchdog import Watchdog, _was_paused

Lines = list[Any]
AGENTS = ["tests.support.isolated_agents", "tests.support.desk_agents"]


def named(lines: Lines, event: str) -> Lines:
    """Return the lines of one event."""
    return [line for line in lines if line["event"] == event]


async def turned(lines: Lines, times: int = 1) -> Lines:
    """Wait until the loop was said to turn again."""
    await until(lambda: len(named(lines, "loop_turns_again")) >= times)
    return named(lines, "loop_blocked")


def busy(seconds: float) -> None:
    """Hold the loop, and a processor."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def hold(block: Callable[[], object]) -> None:
    """Hold the loop from inside a task."""
    block()


@pytest.mark.parametrize("block", [lambda: busy(0.5), lambda: time.sleep(0.5)], ids=["cpu", "wait"])
async def test_whoever_holds_the_loop_is_named_once_with_the_place(
    block: Callable[[], object],
) -> None:
    """Agent and execution from the task's name, file and function from its frames."""
    with capture_logs() as lines:
        watching = asyncio.create_task(Watchdog(after=0.1).run())
        await asyncio.sleep(0)
        await asyncio.create_task(hold(block), name="attempt some-id of slow_one")
        [line] = await turned(lines)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert (line["log_level"], line["agent"], line["execution_id"]) == (
        "warning",
        "slow_one",
        "some-id",
    )
    assert any("test_watchdog.py" in place and "hold" in place for place in line["frames"])
    [over] = named(lines, "loop_turns_again")
    assert 0.4 < over["seconds"] < 5


async def test_each_incident_is_told() -> None:
    """A second time is a second warning, also for code that is no agent's."""
    with capture_logs() as lines:
        watching = asyncio.create_task(Watchdog(after=0.1).run())
        await asyncio.sleep(0)
        for times in (1, 2):
            time.sleep(0.3)  # noqa: ASYNC251 - the fault
            assert len(await turned(lines, times)) == times
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert all("agent" not in line for line in named(lines, "loop_blocked"))


async def test_code_that_keeps_the_interpreters_lock_is_named_too() -> None:
    """It stops every thread; the watchdog tells when it gets its turn."""
    with capture_logs() as lines:
        watching = asyncio.create_task(Watchdog(after=0.1).run())
        await asyncio.sleep(0)
        await asyncio.create_task(hold(lambda: sum(range(40_000_000))), name="attempt x of keeper")
        blocked = await turned(lines)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert [line["agent"] for line in blocked] == ["keeper"]


async def test_a_loop_that_turns_is_left_in_peace() -> None:
    """Many short steps are no incident."""
    with capture_logs() as lines:
        watching = asyncio.create_task(Watchdog(after=0.5).run())
        end = time.monotonic() + 1
        while time.monotonic() < end:
            busy(0.01)
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert lines == []


async def test_a_worker_names_the_agent_that_holds_it_up(
    settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    """While it lasts, and again when it is over; then the worker goes on."""
    settings = settings.model_copy(update={"agents": AGENTS, "lease": 60, "heartbeat": 20})
    async with worker_process(settings, tmp_path / "worker.log") as worker:
        execution = await desk.enqueue("blocking", desk.gate())
        await desk.begun(within=30)
        await until(lambda: '"loop_blocked"' in worker.log)
        desk.open_gate()
        assert (await desk.final(execution)).status == "completed"
        await until(lambda: '"loop_turns_again"' in worker.log)
        [line] = [line for line in worker.log.splitlines() if '"loop_blocked"' in line]
    told = json.loads(line)
    assert (told["agent"], told["execution_id"]) == ("blocking", str(execution))
    assert "isolated_agents.py" in told["frames"][0]
    assert told["worker"].endswith(tuple("0123456789abcdef"))


async def test_a_worker_that_was_paused_as_a_whole_blames_nobody(
    settings: Settings, desk: Desk, tmp_path: Path
) -> None:
    """SIGSTOP is nothing that an agent does."""
    settings = settings.model_copy(update={"agents": AGENTS, "lease": 60, "heartbeat": 20})
    async with worker_process(settings, tmp_path / "worker.log") as worker:
        execution = await desk.enqueue("gated", desk.gate())
        await desk.begun(within=30)
        before = worker.log.count('"loop_blocked"')
        worker.send(signal.SIGSTOP)
        paused = time.monotonic()
        await until(lambda: time.monotonic() - paused > 2 * settings.loop_blocked_after)
        worker.send(signal.SIGCONT)
        desk.open_gate()
        assert (await desk.final(execution)).status == "completed"
        worker.send(signal.SIGTERM)
        await worker.ended()
        assert worker.log.count('"loop_blocked"') == before


@pytest.mark.parametrize(
    ("elapsed", "worked", "paused"), [(60, 0.01, True), (60, 59, False), (0.25, 0, False)]
)
def test_a_pause_is_told_from_a_hold_by_the_processors_time(
    elapsed: float, worked: float, paused: bool
) -> None:
    """A process that stood still used none; code that keeps the interpreter's lock did."""
    assert _was_paused(elapsed, worked, after=1) is paused
