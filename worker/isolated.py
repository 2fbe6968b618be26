"""The life of an agent's own process: `python -m worker.isolated FD PARENT`, begun by a worker.

It is told what to run over the socket FD, loads the agents as a worker does, and calls the one it
was told with the worker's own `AgentCall`, so the contract is the same. Reads, progress and log
lines travel to the worker; no connection to a server exists here. When the worker lets go of the
socket, or dies, the process ends at once, whatever the agent is doing.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NoReturn

import structlog

from worker.agents.contract import Document, Outcome, RunContext
from worker.agents.registry import load_agents
from worker.attempt import AgentCall, Fault, Result, Stop
from worker.errors import CopydeskError, OutputInvalidError, OutputTooLargeError
from worker.isolated_log import send_lines
from worker.outcomes import OutcomeRules
from worker.settings import Settings, read_settings
from worker.wire import (
    HEADER,
    FromProcess,
    Read,
    Reply,
    Report,
    Start,
    TooLargeError,
    ended,
    framed,
    plain,
)

_PR_SET_PDEATHSIG = 1


class Channel:
    """The socket to the worker: messages go out from any thread, and come in to one."""

    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._lock = threading.Lock()

    def send(self, message: FromProcess) -> None:
        """Send one message, in one piece; blocks while the worker is busy.

        Raises:
            TypeError, ValueError, RecursionError: something in it is not JSON.
        """
        frame = framed(message)
        with self._lock:
            self._worker.sendall(frame)

    def receive(self) -> bytes:
        """Wait for the next message; the process ends here when the worker has let go."""
        size: int = HEADER.unpack(self._exactly(HEADER.size))[0]
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._worker.recv(min(size - len(parts), 1 << 20))
            if not part:
                os._exit(1)
            parts += part
        return bytes(parts)


class DistantReader:
    """Reads documents through the worker, which knows the project; answers come in order."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._waiting: deque[asyncio.Future[list[Document]]] = deque()

    def listen(self) -> NoReturn:
        """Take the worker's answers, in a thread of its own."""
        while True:
            self._loop.call_soon_threadsafe(self._answer, self._channel.receive())

    async def document(self, document_type: str, version: int | None) -> Document | None:
        """Return one version, or the latest where `version` is None; None where there is none."""
        found = await self._read(Read(document_type=document_type, version=version))
        return found[0] if found else None

    async def latest_documents(self) -> list[Document]:
        """Return the latest version of every document type, ordered by type."""
        return await self._read(Read(document_type=None))

    async def _read(self, question: Read) -> list[Document]:
        answer: asyncio.Future[list[Document]] = self._loop.create_future()
        self._channel.send(question)
        self._waiting.append(answer)
        return await answer

    def _answer(self, body: bytes) -> None:
        reply = Reply.model_validate_json(body)
        waiting = self._waiting.popleft()
        if waiting.done():  # whoever asked was cancelled
            return
        if reply.code is None:
            waiting.set_result(reply.documents)
        else:
            waiting.set_exception(CopydeskError(reply.message, code=reply.code))


def main(arguments: list[str]) -> NoReturn:
    """Run one attempt, say what it came to, and end."""
    number, parent, limit = (int(argument) for argument in arguments)
    _die_with(parent)
    _limit_memory(limit)
    worker = socket.socket(fileno=number)
    worker.set_inheritable(False)
    channel = Channel(worker)
    start = Start.model_validate_json(channel.receive())
    _put_back_python_path(start.python_path)
    try:
        asyncio.run(_attempt(channel, start))
    finally:
        os._exit(1)


async def _attempt(channel: Channel, start: Start) -> NoReturn:
    result = await _run(channel, start)
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    _say(channel, result)
    # Not through the ends of loop and interpreter, which wait for what the agent has begun.
    os._exit(0)


async def _run(channel: Channel, start: Start) -> Result:
    loop = asyncio.get_running_loop()
    reader = DistantReader(channel, loop)
    threading.Thread(target=reader.listen, name="copydesk-worker", daemon=True).start()
    try:
        settings = read_settings(_env_file=None, **start.settings)
        send_lines(channel.send, settings.log_level)
        agent = load_agents(settings)[start.agent_type]
    except CopydeskError as error:
        return Fault(error.code, error.message, retryable=True)

    def report(fraction: float | None, message: str) -> None:
        call.check_open()
        channel.send(Report(fraction=fraction, message=plain(message, 500)))

    log = structlog.get_logger("copydesk.agent")
    context = RunContext(start.run, log, report, reader)
    call = AgentCall(agent, context, start.input, ThreadPoolExecutor(1, "copydesk-agent"))
    loop.add_signal_handler(signal.SIGTERM, call.stop, Stop.DRAIN)
    return _within_limits(await call.result(), settings)


def _within_limits(result: Result, settings: Settings) -> Result:
    """Return the result; what is too large is not written out, which might take all memory."""
    rules = OutcomeRules(output_limit=settings.output_limit, document_limit=settings.document_limit)
    try:
        if isinstance(result, Outcome):
            rules.check_shape(result)
    except OutputInvalidError as error:
        return Fault(error.code, error.message, retryable=False)
    except BaseException:  # noqa: BLE001 - raised again, and told, when it is sent
        return result
    return result


def _say(channel: Channel, result: Result) -> None:
    try:
        channel.send(ended(result))
    except MemoryError:
        reason = "memory ran out while the agent's answer was sent to its worker"
        channel.send(ended(Fault("agent_process_died", reason, retryable=True)))
    except TooLargeError as error:
        channel.send(ended(Fault(OutputTooLargeError.code, f"the answer {error}", retryable=False)))
    except BaseException as error:  # noqa: BLE001 - an answer may raise anything when it is read
        kind = type(error).__name__[:100]
        reason = f"the agent's answer cannot be sent to its worker ({kind})"
        channel.send(ended(Fault(OutputInvalidError.code, reason, retryable=False)))


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when the worker dies; the socket tells elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request was in place
        os._exit(1)


def _limit_memory(limit: int) -> None:
    if limit:
        import resource  # noqa: PLC0415 - not on every platform

        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _put_back_python_path(value: str | None) -> None:
    """Leave no trace of how this process found its modules to what the agent starts."""
    os.environ.pop("PYTHONPATH", None)
    if value is not None:
        os.environ["PYTHONPATH"] = value


if __name__ == "__main__":
    main(sys.argv[1:])
