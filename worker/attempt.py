"""One attempt's agent: called on the event loop or in a thread, bounded in time, never trusted.

Whatever the agent does, the answer is one value: an answer of the contract, or a `Fault` that says
what went wrong. Not even SystemExit passes. A stop is asked for by cancellation; an agent that does
not heed it is given up after a moment, and what still runs of it is counted as leaked.
"""

import asyncio
import contextvars
import re
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from worker.agents.contract import (
    Agent,
    AgentError,
    Answer,
    Cancel,
    Outcome,
    Retry,
    RunContext,
    Snooze,
    ThreadContext,
)
from worker.ledger.records import Unreadable
from worker.requests import describe_faults

_GIVE_UP_AFTER = 5.0
_ANSWER_PARTS = {"Draft", "ExportFile", "Outcome"}
_CODE = re.compile(r"[!-~]+\Z")


class Stop(StrEnum):
    """Why an attempt was told to stop."""

    CANCEL = "cancel"
    LOST = "lost"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Fault:
    """An attempt that failed: a stable code, a message without secrets, and what comes next.

    `frames` is where an unexpected exception came from, for the log; its text is left out there
    too, since it may hold anything.
    """

    code: str
    message: str
    retryable: bool
    retry_after: timedelta | None = None
    frames: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The attempt ended because it was told to."""

    why: Stop


Result = Answer | Fault | Stopped


class AttemptOverError(Exception):
    """Raised in an agent's thread at its next report or read, when the attempt has ended."""


class AgentCall:
    """Calls an agent for one attempt and can stop it.

    `elsewhere`, where it is given, runs the agent in a process of its own instead of here.
    """

    def __init__(
        self,
        agent: Agent,
        context: RunContext,
        payload: object,
        threads: ThreadPoolExecutor,
        elsewhere: Callable[[], Coroutine[Any, Any, Result]] | None = None,
    ) -> None:
        self._agent = agent
        self._context = context
        self._payload = payload
        self._threads = threads
        self._elsewhere = elsewhere
        self._stop: Stop | None = None
        # One future for the three ways to go on: the agent's end, its time limit, and a stop.
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._over = False
        self._thread: asyncio.Future[object] | None = None
        self.leaked: asyncio.Future[Any] | None = None

    def stop(self, why: Stop) -> None:
        """Ask the agent to stop; the first reason stands, except that a lost lease wins."""
        if self._stop is None or why is Stop.LOST:
            self._stop = why
        self._wake()

    def check_open(self) -> None:
        """Raise in the agent's thread once the attempt is over or told to stop."""
        if self._over or self._stop is not None:
            raise AttemptOverError("the attempt has ended; nothing it does now is kept")

    async def result(self) -> Result:
        """Run the agent to its end, its time limit, or a stop."""
        run = self._context.run
        # The watchdog tells by the name whose code holds up the loop.
        name = f"attempt {run.execution_id} of {run.agent_type}"
        running = asyncio.create_task(self._call(), name=name)
        running.add_done_callback(self._wake)
        limit = asyncio.get_running_loop().call_later(self._agent.timeout, self._wake)
        try:
            await self._woken
            self._over = not running.done()
            timed_out = self._over and self._stop is None
            await self._give_up(running)
        finally:
            self._over = True
            limit.cancel()
        return self._conclude(running, timed_out=timed_out)

    def _wake(self, _ended: object = None) -> None:
        if not self._woken.done():
            self._woken.set_result(None)

    async def _give_up(self, running: "asyncio.Future[Result]") -> None:
        if running.done():
            return
        running.cancel()
        work: set[asyncio.Future[Any]] = {running}
        if self._thread is not None:
            work.add(self._thread)
        _, unfinished = await asyncio.wait(work, timeout=_GIVE_UP_AFTER)
        self.leaked = next(iter(unfinished), None)

    def _conclude(self, running: "asyncio.Future[Result]", *, timed_out: bool) -> Result:
        if self._stop is Stop.LOST:
            return Stopped(Stop.LOST)
        result = running.result() if running.done() and not running.cancelled() else None
        if isinstance(result, Answer):
            # It finished before it noticed: work that is done is kept.
            return result
        if self._stop is not None:
            return Stopped(self._stop)
        if timed_out:
            return Fault(
                "timeout", f"the agent did not end within {self._agent.timeout:g} s", retryable=True
            )
        return result or Fault("agent_cancelled", "the agent cancelled itself", retryable=True)

    async def _call(self) -> Result:
        if isinstance(self._payload, Unreadable):
            return Fault("input_invalid", f"input: {self._payload.reason}", retryable=False)
        try:
            return await (self._elsewhere or self._answer)()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - not even SystemExit ends the worker
            return _unexpected(error)

    async def _answer(self) -> Result:
        try:
            # The input model is the agent's code too: its validators may raise anything.
            payload = self._agent.input_model.model_validate(self._payload)
        except ValidationError as error:
            return Fault("input_invalid", describe_faults(error), retryable=False)
        try:
            if self._agent.kind == "coroutine":
                answer = await self._agent.function(self._context, payload)
            else:
                answer = await self._in_thread(payload)
        except AgentError as error:
            return _refusal(error)
        except ValidationError as error:
            if error.title in _ANSWER_PARTS:
                return Fault("output_invalid", describe_faults(error), retryable=False)
            raise
        return answer if isinstance(answer, Answer) else _wrong_answer(answer)

    async def _in_thread(self, payload: object) -> object:
        loop = asyncio.get_running_loop()

        def wait(reading: Awaitable[Any]) -> Any:  # noqa: ANN401 - what the reading returns
            try:
                self.check_open()
            except AttemptOverError:
                reading.close()  # type: ignore[attr-defined]
                raise
            return asyncio.run_coroutine_threadsafe(_awaited(reading), loop).result()

        def call() -> object:
            try:
                return self._agent.function(ThreadContext(self._context, wait), payload)
            except StopIteration as error:
                # A future cannot hold this one; the agent's own frames are kept.
                raise RuntimeError("StopIteration") from error

        variables = contextvars.copy_context()
        # Shielded: a thread cannot be cancelled, and whether it still runs must stay visible.
        self._thread = asyncio.wrap_future(self._threads.submit(variables.run, call))
        return await asyncio.shield(self._thread)


async def _awaited(reading: Awaitable[Any]) -> Any:  # noqa: ANN401 - what the reading returns
    return await reading


def _refusal(error: AgentError) -> Fault:
    code = str(error.code)
    after = error.retry_after
    return Fault(
        code[:64] if _CODE.match(code) else AgentError.code,
        _bounded(error.message),
        retryable=bool(error.retryable),
        retry_after=after if isinstance(after, timedelta) else None,
    )


def _unexpected(error: BaseException) -> Fault:
    # As Python tells it: what it was raised from comes first.
    told = [one for one in (error.__cause__, error) if one is not None]
    frames = [
        f"{''.join(traceback.format_tb(one.__traceback__)[-20:])}{_kind(one)}" for one in told
    ]
    return Fault(
        "agent_exception",
        f"the agent raised {_kind(error)}; the worker's log has the place",
        retryable=True,
        frames="\n".join(frames),
    )


def _wrong_answer(answer: object) -> Fault:
    if asyncio.iscoroutine(answer):
        answer.close()
    kinds = ", ".join(kind.__name__ for kind in (Outcome, Retry, Snooze, Cancel))
    return Fault(
        "output_invalid",
        f"the agent returned {_kind(answer)}; it must return one of {kinds}",
        retryable=False,
    )


def _bounded(message: object) -> str:
    text = message if isinstance(message, str) else _kind(message)
    return text[:4000].replace("\x00", "").encode("utf-8", "replace").decode()[:2000]


def _kind(value: object) -> str:
    name = type(value).__name__[:100]
    return name if name.isprintable() else "something"
