"""The executor: slots for running attempts, and the outcome of each, recorded under its fence.

An attempt is one task: run the agent, record the outcome, tell those who wait for it. No connection
is held while an agent runs. Recording is repeated until the database has answered: the moves name
the attempt, so a repeat is harmless and a late one is refused.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NoReturn
from uuid import UUID

import structlog

from worker.agents.contract import Agent, Reader, Run, RunContext
from worker.agents.registry import Registry
from worker.attempt import AgentCall, Result, Stop
from worker.errors import AgentsLeakedError, CopydeskError
from worker.isolation import AgentProcesses
from worker.ledger import Claim, Ended
from worker.logs import execution_log
from worker.progress import ProgressBoard
from worker.recording import Recorder
from worker.slots import Slots
from worker.telemetry import LOST, REFUSED, Telemetry

# Time to heed a stop, and to get the outcome recorded, once the grace is over.
_LAST_WORD_WITHIN = 10.0
THREAD_PREFIX = "copydesk-agent"

Report = Callable[["Attempt", Ended | None], None]


@dataclass(slots=True)
class Attempt:
    """One running attempt: what was claimed, its agent, and the call under way."""

    claim: Claim
    agent: Agent
    began: float = field(default_factory=monotonic)
    call: AgentCall | None = None
    stop: Stop | None = None

    def tell(self, why: Stop) -> None:
        """Ask the agent to stop; a lost lease stays lost."""
        if self.stop is not Stop.LOST:
            self.stop = why
        if self.call is not None:
            self.call.stop(why)


class Executor:
    """Runs attempts, each in a slot.

    Args:
        registry: the agents this worker knows.
        recorder: turns outcomes into moves.
        reader: makes the scoped reader of a project.
        processes: runs the agents that ask for a process of their own.
        board: takes progress reports.
        telemetry: counts attempts.
        worker: this worker's id, for the log.
        slots: an attempt's slot is given back when it is over.
        report: called when an attempt is over, with the answer to its outcome; None where it was
            lost or could not be recorded.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        recorder: Recorder,
        reader: Callable[[UUID], Reader],
        processes: AgentProcesses,
        board: ProgressBoard,
        telemetry: Telemetry,
        worker: str,
        slots: Slots,
        report: Report,
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._reader = reader
        self._processes = processes
        self._board = board
        self._telemetry = telemetry
        self._worker = worker
        self._slots = slots
        self._report = report
        # Threads of agents that were given up are not to be had back.
        self._threads = ThreadPoolExecutor(2 * slots.total, thread_name_prefix=THREAD_PREFIX)
        self._running: dict[UUID, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaked: dict[UUID, UUID] = {}
        self._exhausted = asyncio.Event()
        self._log = structlog.get_logger("copydesk.executor")
        self.finished = 0

    @property
    def agents(self) -> dict[str, int]:
        """What to claim for: agent_type -> the agent's own max_attempts."""
        return {agent.agent_type: agent.max_attempts for agent in self._registry.values()}

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return len(self._running)

    @property
    def leaked(self) -> int:
        """How many agents were given up and still run, each beside the slots."""
        return len(self._leaked)

    def held(self) -> dict[UUID, int]:
        """Return the attempts whose leases are to be renewed: execution -> attempt."""
        return {id_: attempt.claim.attempt for id_, attempt in self._running.items()}

    def holds(self, project_id: UUID, execution_id: UUID) -> bool:
        """Whether this process runs that execution, or has an agent of it that never ended."""
        running = self._running.get(execution_id)
        leaked = self._leaked.get(execution_id)
        return project_id in {running and running.claim.project_id, leaked}

    def start(self, claim: Claim) -> None:
        """Run a claimed attempt, for which a slot was taken, in a task of its own."""
        attempt = Attempt(claim, self._registry[claim.agent_type])
        due = (datetime.now(UTC) - claim.scheduled_at).total_seconds()
        self._telemetry.waited.add(max(due, 0.0))
        self._running[claim.execution_id] = attempt
        task = asyncio.create_task(self._run(attempt), name=f"attempt {claim.execution_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, execution_id: UUID, why: Stop) -> None:
        """Ask the agent of an execution to stop, if it runs here."""
        attempt = self._running.get(execution_id)
        if attempt is not None:
            attempt.tell(why)

    async def idle(self) -> None:
        """Return when no attempt is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def leaks_to_the_full(self) -> NoReturn:
        """Wait until as many agents were given up and still run as there are slots, and raise.

        They take memory, threads and time that no slot accounts for, and only the end of the
        process frees them.

        Raises:
            AgentsLeakedError: it is so.
        """
        await self._exhausted.wait()
        raise AgentsLeakedError(
            f"{len(self._leaked)} agents were given up and still run, as many as there are slots; "
            'start the worker again, and run what heeds no stop with isolation="process"'
        )

    async def drain(self, grace: float) -> None:
        """Let running attempts end within `grace` seconds; stop and give back the others.

        What the database does not take in the end is left to its lease.
        """
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace)
        for attempt in list(self._running.values()):
            attempt.tell(Stop.DRAIN)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_LAST_WORD_WITHIN)
        if self._tasks:
            self._log.error("outcomes_not_recorded", attempts=len(self._tasks))
            for task in self._tasks:
                task.cancel()
        await self.idle()

    def close(self) -> None:
        """Let go of the threads; an agent that never ends keeps its own."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, attempt: Attempt) -> None:
        claim = attempt.claim
        log = execution_log(
            project_id=claim.project_id,
            execution_id=claim.execution_id,
            attempt=claim.attempt,
            agent=claim.agent_type,
            correlation_id=claim.correlation_id,
            worker=self._worker,
        )
        ended = None
        try:
            call = attempt.call = self._call(attempt, log)
            if attempt.stop is not None:
                call.stop(attempt.stop)
            result = await call.result()
            self._keep_leaked(claim, call)
            ended = await self._recorder.record(
                claim, attempt.agent, result, lost=lambda: attempt.stop is Stop.LOST
            )
        except CopydeskError as error:
            # Nothing was recorded: the lease runs out, and a sweep takes the execution up.
            log.error("outcome_not_recorded", code=error.code, reason=error.message)  # noqa: TRY400
        except Exception:
            # A bug of ours, in one attempt: the others go on, and the lease runs out.
            log.exception("outcome_not_recorded", code="bug")
        finally:
            self._board.forget(claim.execution_id)
            del self._running[claim.execution_id]
            self._slots.give_back(1)
        self.finished += 1
        seconds = monotonic() - attempt.began
        self._telemetry.attempt_ended(claim.agent_type, _ending(ended), seconds)
        if ended is not None:
            log.info(
                "attempt_ended",
                status=ended.status,
                accepted=ended.accepted,
                seconds=round(seconds, 3),
                failures=claim.failures,
            )
        self._report(attempt, ended)

    def _call(self, attempt: Attempt, log: structlog.stdlib.BoundLogger) -> AgentCall:
        claim, agent = attempt.claim, attempt.agent
        run = Run(
            project_id=claim.project_id,
            execution_id=claim.execution_id,
            attempt=claim.attempt,
            correlation_id=claim.correlation_id,
            agent_type=claim.agent_type,
            language=claim.language,
            requested_by=claim.requested_by,
            deadline=datetime.now(UTC) + timedelta(seconds=agent.timeout),
        )

        def report(fraction: float | None, message: str) -> None:
            call.check_open()
            self._board.put(claim, fraction, message)

        async def elsewhere() -> Result:
            return await self._processes.call(agent, context, reader, claim.input)

        reader = self._reader(claim.project_id)
        context = RunContext(run, log, report, reader)
        own = elsewhere if agent.isolation == "process" else None
        call = AgentCall(agent, context, claim.input, self._threads, own)
        return call

    def _keep_leaked(self, claim: Claim, call: AgentCall) -> None:
        if call.leaked is None:
            return
        self._leaked[claim.execution_id] = claim.project_id
        self._telemetry.leaked[claim.agent_type] += 1
        self._log.warning("agent_leaked", leaked=len(self._leaked))
        if len(self._leaked) >= self._slots.total:
            self._exhausted.set()

        def forget(_ended: object) -> None:
            self._leaked.pop(claim.execution_id, None)

        call.leaked.add_done_callback(forget)


def _ending(ended: Ended | None) -> str:
    if ended is None or ended.status is None:
        return LOST
    return ended.status if ended.accepted else REFUSED
