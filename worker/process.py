"""The composition root: the one place where a worker's parts are made and handed to each other."""

import asyncio
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from time import monotonic
from uuid import UUID

import structlog

import migrations
from worker.aftermath import Aftermath
from worker.agents.registry import load_agents
from worker.claimer import Claimer
from worker.deliveries import Deliveries
from worker.documents import ProjectReader
from worker.errors import AgentsLeakedError
from worker.executor import THREAD_PREFIX, Attempt, Executor
from worker.exports import ExportStore
from worker.heartbeat import Heartbeat
from worker.isolation import AgentProcesses
from worker.ledger import Dispatch, Ended, Ledger, Life, MovePool, session_name
from worker.logs import configure_logging
from worker.preflight import check_database, check_redis
from worker.presence import Presence
from worker.progress import ProgressBoard
from worker.queue.connection import open_redis
from worker.queue.hints import HintSender
from worker.queue.intake import QueueWorker
from worker.queue.signals import Signals
from worker.recording import Recorder
from worker.service import WorkerService
from worker.settings import DISPATCH_CONNECTIONS, Settings, secret
from worker.slots import Slots
from worker.sweep import Sweep
from worker.telemetry import Telemetry
from worker.watchdog import Watchdog

_SHORTEST_ANSWER = 1.0
_END_WITHIN = 2.0
_FAILED = 1


@asynccontextmanager
async def assembled(settings: Settings, *, burst: bool = False) -> AsyncIterator[WorkerService]:
    """Make a worker of settings, checked and ready to run; close what it opened afterwards.

    Raises:
        SettingsError: a URL is missing.
        StartupRefusedError: database or Redis are not as they have to be.
        DatabaseUnavailableError: PostgreSQL does not answer.
        AgentNotFoundError: an agent cannot be loaded.
    """
    settings.require("database_url", "dispatch_url", "redis_url")
    # A life of its own for each process: two that share a name never share a lease. One with a
    # stable name says so in its id, since only such a life has a lock to tell whether it is over.
    kind = "stable-" if settings.stable_name else ""
    worker = f"{settings.worker_name}:{os.getpid()}:{kind}{secrets.token_hex(4)}"
    lease = settings.lease_time
    registry = load_agents(settings)
    async with AsyncExitStack() as stack:
        url = secret(settings.database_url)
        moves = await stack.enter_async_context(
            MovePool(url, size=settings.pool_size, name=session_name(worker))
        )
        control = await stack.enter_async_context(
            MovePool(
                secret(settings.dispatch_url),
                size=DISPATCH_CONNECTIONS,
                # A heartbeat on a dead link must fail while there is time for another.
                timeout=max(settings.lease / 3, _SHORTEST_ANSWER),
                name=session_name(worker),
            )
        )
        await check_database(moves, control, revision=migrations.latest())
        redis = open_redis(secret(settings.redis_url), queue_name=settings.queue_name)
        stack.push_async_callback(redis.aclose)
        await check_redis(redis, settings)
        # A pool of their own: what agents read must not stand before what workers record.
        reads = await stack.enter_async_context(
            MovePool(url, size=settings.pool_size, name=session_name(worker))
        )

        def reader(project_id: UUID) -> ProjectReader:
            return ProjectReader(reads, project_id)

        def report(attempt: Attempt, ended: Ended | None) -> None:
            aftermath.ended(attempt, ended)

        telemetry = Telemetry()
        slots = Slots(settings.concurrency)
        ledger = Ledger(moves, worker=worker, input_limit=settings.input_limit)
        dispatch = Dispatch(control)
        life = None
        if settings.stable_name:
            life = Life(
                secret(settings.dispatch_url),
                worker=worker,
                name=settings.worker_name,
                dispatch=dispatch,
                ledger=ledger,
                every=settings.heartbeat,
            )
            stack.push_async_callback(life.end)
            await life.begin()
        board = ProgressBoard(ledger)
        executor = Executor(
            registry=registry,
            recorder=Recorder(
                ledger,
                ExportStore(settings.exports_directory),
                output_limit=settings.output_limit,
                document_limit=settings.document_limit,
            ),
            reader=reader,
            processes=AgentProcesses(settings),
            board=board,
            telemetry=telemetry,
            worker=worker,
            slots=slots,
            report=report,
        )
        stack.callback(executor.close)
        claimer = Claimer(ledger, executor, slots, telemetry, lease=lease)
        deliveries = Deliveries(ledger, claimer, slots, lease=lease)
        queue = QueueWorker(
            queue_name=settings.queue_name,
            redis_pool=redis,
            owner=worker,
            lease=lease,
            handler=deliveries,
            burst=burst,
        )
        deliveries.attach(queue)
        signals = Signals(redis)
        aftermath = Aftermath(ledger, deliveries, HintSender(redis), signals)
        presence = Presence(
            moves,
            worker=worker,
            name=settings.worker_name,
            agent_types=registry.types,
            slots=settings.concurrency,
        )
        heartbeat = Heartbeat(
            dispatch, executor, worker=worker, lease=lease, every=settings.heartbeat
        )
        if settings.metrics_port is not None:
            # Not imported where nobody asks for it: it costs memory.
            from worker.metrics import WorkerMetrics, serving_metrics  # noqa: PLC0415

            metrics = WorkerMetrics(telemetry, slots, executor, queue, heartbeat)
            stack.enter_context(
                serving_metrics(metrics, host=settings.metrics_host, port=settings.metrics_port)
            )
        service = WorkerService(
            executor=executor,
            claimer=claimer,
            queue=queue,
            deliveries=deliveries,
            aftermath=aftermath,
            heartbeat=heartbeat,
            sweep=Sweep(
                dispatch,
                ledger,
                claimer,
                slots,
                registry.types,
                telemetry,
                every=settings.sweep,
            ),
            board=board,
            presence=presence,
            signals=signals,
            watchdog=Watchdog(after=settings.loop_blocked_after),
            life=life,
            grace=settings.drain_grace,
            burst=burst,
        )
        with structlog.contextvars.bound_contextvars(worker=worker):
            yield service


async def work(
    settings: Settings, *, burst: bool = False, ready: Callable[[], None] = lambda: None
) -> None:
    """Run a worker until SIGTERM or SIGINT: the first drains it, the second hurries it."""
    async with assembled(settings, burst=burst) as service:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop)
        try:
            await service.run(ready=ready)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def run_worker(settings: Settings, *, burst: bool = False) -> None:
    """Run a worker process with its log and the fastest event loop there is."""
    configure_logging(settings)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        with ending_in_time(_END_WITHIN):
            runner.run(work(settings, burst=burst))
        end = end_within(_END_WITHIN)
    leave_stuck_threads()
    end.cancel()


@contextmanager
def ending_in_time(seconds: float) -> Iterator[None]:
    """Let the process end with 1 some seconds after a worker gave up whose agents never end."""
    try:
        yield
    except AgentsLeakedError:
        end_within(seconds, code=_FAILED)
        raise


def leave_stuck_threads() -> None:
    """End the process now if an agent's thread still runs: the interpreter would wait for it."""
    deadline = monotonic() + 1
    stuck = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_PREFIX)]
    for thread in stuck:
        thread.join(max(deadline - monotonic(), 0))
    if any(thread.is_alive() for thread in stuck):
        _end_now()


def end_within(seconds: float, *, code: int = 0) -> threading.Timer:
    """End the process after some seconds, unless that is cancelled; the work is done.

    Python waits for every thread that code of agents has begun, in a pool or not, for ever.
    """
    timer = threading.Timer(seconds, _end_now, [code])
    timer.daemon = True
    timer.start()
    return timer


def _end_now(code: int = 0) -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
