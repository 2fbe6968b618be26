"""arq on either side: a service that knows nothing else, and arq's own command as the worker."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from models.states import State
from tests.processes.conftest import StartWorker
from tests.support.desk import Desk
from tests.support.workers import environment, running_worker
from worker.queue.connection import to_arq_settings
from worker.settings import Settings, secret

ARQ = str(Path(sys.executable).with_name("arq"))
PRODUCER = Path(__file__).with_name("producer.py")


async def produce(
    settings: Settings,
    desk: Desk,
    agent: str,
    payload: dict[str, Any] | None = None,
    *,
    codec: str = "pickle",
    job_id: str | None = None,
    again: int = 0,
) -> dict[str, Any]:
    """Let a service that cannot even import copydesk enqueue a job, and return what it saw."""
    redis = to_arq_settings(secret(settings.redis_url))
    where = {name: getattr(redis, name) for name in ("host", "port", "database", "password")}
    ask = {
        "project_id": str(desk.project),
        "agent_type": agent,
        "input": payload or {},
        "requested_by": str(desk.user),
    }
    order = {"redis": where, "codec": codec, "job_id": job_id, "request": ask, "again": again}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(PRODUCER)),
        cwd=desk.directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(json.dumps(order).encode())
    assert process.returncode == 0, errors.decode()
    answer: dict[str, Any] = json.loads(output)
    return answer


async def run_arq(settings: Settings, *options: str) -> tuple[int, str]:
    """Run `arq worker.WorkerSettings` with options to its end; return exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *(ARQ, "worker.WorkerSettings", *options),
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize("codec", ["pickle", "json"])
async def test_a_service_with_arq_alone_gets_its_job_run_recorded_and_answered(
    codec: str, settings: Settings, desk: Desk
) -> None:
    """Status and result are arq's own; the record is the same as for every execution."""
    payload = {"value": [1, "ä"], "document_type": "notes"}
    async with running_worker(settings):
        answer = await produce(settings, desk, "echo", payload, codec=codec)
    assert answer["status"] == "complete"
    assert answer["result"]["output"] == {"value": [1, "ä"]}
    report = await desk.report(answer["result"]["execution_id"])
    assert (report.status, report.requested_by) == (State.COMPLETED, desk.user)
    assert [v.document_type for v in report.versions] == ["notes"]


@pytest.mark.parametrize("codec", ["pickle", "json"])
async def test_a_failure_reaches_the_service_as_arqs_error(
    codec: str, settings: Settings, desk: Desk
) -> None:
    """`Job.result()` raises, with code and message of the execution."""
    async with running_worker(settings):
        answer = await produce(settings, desk, "failing", codec=codec)
    assert "no_text: there is no text to work on" in answer["error"]
    assert answer["status"] == "complete"
    [row] = await desk.database.ask("SELECT status, error_code FROM agent_executions")
    assert (row["status"], row["error_code"]) == ("failed", "no_text")


async def test_a_result_comes_after_the_retries(settings: Settings, desk: Desk) -> None:
    """The message stays until the execution is final."""
    async with running_worker(settings):
        answer = await produce(settings, desk, "flaky", {"failures": 2})
    assert answer["result"]["output"] == {"attempt": 3}


async def test_the_same_job_id_is_one_execution(settings: Settings, desk: Desk) -> None:
    """In the queue, while the result is kept, and after both are gone."""
    async with running_worker(settings) as service:
        first = await produce(settings, desk, "echo", {"value": 1}, job_id="order-7", again=3)
        assert first["again"] == [False] * 3
        await service._queue.pool.delete("arq:result:order-7")
        second = await produce(settings, desk, "echo", {"value": 1}, job_id="order-7")
    assert second["result"] == first["result"]
    rows = await desk.database.ask("SELECT idempotency_key, attempt FROM agent_executions")
    assert [tuple(row.values()) for row in rows] == [("arq:order-7", 1)]


async def test_the_same_job_id_for_another_request_is_refused(
    settings: Settings, desk: Desk
) -> None:
    """The service is told, and what was recorded first stands."""
    async with running_worker(settings) as service:
        await produce(settings, desk, "echo", {"value": 1}, job_id="order-7")
        await service._queue.pool.delete("arq:result:order-7")
        answer = await produce(settings, desk, "echo", {"value": 2}, job_id="order-7")
    assert "idempotency_conflict" in answer["error"]
    [row] = await desk.database.ask("SELECT output_data FROM agent_executions")
    assert json.loads(row["output_data"]) == {"value": 1}


async def test_arqs_own_command_starts_a_worker(
    start_worker: StartWorker, settings: Settings, desk: Desk
) -> None:
    """It runs what comes, answers `--check`, and drains on SIGTERM with exit code 0."""
    async with start_worker(ARQ, "worker.WorkerSettings", drain_grace=60) as worker:
        answer = await produce(settings, desk, "echo", {"value": 1})
        assert answer["result"]["output"] == {"value": 1}
        code, output = await run_arq(settings, "--check")
        assert code == 0, output
        execution = await desk.enqueue("gated", desk.gate())
        assert await desk.begun() == worker.pid
        worker.send(signal.SIGTERM)
        desk.open_gate()
        assert await worker.ended() == 0, worker.log
    assert (await desk.report(execution)).status == State.COMPLETED
    assert "Traceback" not in worker.log


async def test_arqs_burst_works_everything_off_and_ends(settings: Settings, desk: Desk) -> None:
    """Retries that come due in no time included; exit code 0."""
    executions = [await desk.enqueue("echo", {"value": n}) for n in range(20)]
    code, output = await run_arq(settings, "--burst")
    assert code == 0, output
    assert {(await desk.report(e)).status for e in executions} == {State.COMPLETED}
    assert "Traceback" not in output


async def test_arqs_check_fails_where_no_worker_is(settings: Settings) -> None:
    """As arq's users expect."""
    code, _ = await run_arq(settings, "--check")
    assert code == 1


async def test_arqs_command_ends_although_a_thread_never_does(
    start_worker: StartWorker, desk: Desk
) -> None:
    """As `copydesk worker` does: given back, and exit code 0."""
    async with start_worker(ARQ, "worker.WorkerSettings", drain_grace=0.1) as worker:
        execution = await desk.enqueue("stubborn_thread", desk.gate())
        await desk.begun()
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
    assert (await desk.events(execution))[-1] == "released"
