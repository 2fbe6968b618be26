"""Workers and messages of different releases side by side."""

import json
import time

from arq.connections import create_pool

from models.states import State
from tests.crash.conftest import StartWorker
from tests.support.desk import AGENTS, Desk
from tests.support.invariants import check
from tests.support.waiting import until
from worker.queue.connection import to_arq_settings
from worker.settings import Settings, secret


async def test_an_old_worker_leaves_a_new_agent_to_a_worker_that_has_it(
    start_worker: StartWorker, desk: Desk
) -> None:
    """F43: during a rolling deploy the new agent's work waits, and the old one's goes on."""
    mark = desk.directory / "mark"
    async with start_worker() as old:
        new = await desk.enqueue("lingering", {"path": str(mark)})
        assert (await desk.run("echo")).status == State.COMPLETED
        await until(lambda: '"no_such_agent_here"' in old.log)
        row = await desk.row(new)
        assert (row["status"], row["attempt"], row["failures"]) == ("pending", 0, 0)
        async with start_worker(agents=[*AGENTS, "tests.support.fault_agents"]):
            report = await desk.final(new)
            assert (await desk.run("echo")).status == State.COMPLETED
    assert (report.status, report.attempt, report.failures) == (State.COMPLETED, 1, 0)
    await check(desk.database)


async def test_a_hint_of_a_newer_release_is_set_aside_and_its_row_runs_all_the_same(
    start_worker: StartWorker, desk: Desk, settings: Settings
) -> None:
    """F43: the message is not understood, and is not what counts."""
    redis = await create_pool(to_arq_settings(secret(settings.redis_url)))
    execution = await desk.enqueue("echo", {"document_type": "notes"})
    await desk.client._hints.settle()
    await redis.flushdb()
    arguments = {"v": 2, "project_id": str(desk.project), "execution_id": str(execution)}
    message: dict[str, object] = {
        "t": None,
        "f": "run_agent",
        "a": [],
        "k": {**arguments, "new": 1},
        "et": 0,
    }
    await redis.set(f"arq:job:{execution}", json.dumps(message))
    await redis.zadd(settings.queue_name, {str(execution): int(time.time() * 1000)})
    async with start_worker() as worker:
        report = await desk.final(execution)
        await until(lambda: '"bad_envelope"' in worker.log)
        assert (await desk.run("echo")).status == State.COMPLETED
        assert await redis.zcard(settings.queue_name) == 0
    await redis.aclose(close_connection_pool=True)
    assert (report.status, report.attempt) == (State.COMPLETED, 1)
    await check(desk.database)
