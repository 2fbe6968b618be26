"""What a worker says and hears over the socket to one agent's own process.

Questions are answered one after another, so a process that asks for everything at once waits, and
holds nothing up but itself. Nothing it says is believed before it is checked.
"""

import asyncio
from contextlib import suppress

import structlog

from worker.agents.contract import Reader, RunContext
from worker.attempt import AttemptOverError, Fault, Result
from worker.errors import CopydeskError, OutputInvalidError
from worker.wire import (
    HEADER,
    LARGEST,
    Ended,
    LogLine,
    Read,
    Reply,
    Report,
    Start,
    TooLargeError,
    framed,
    from_process,
    result_of,
)

_BIG = 1_000_000
_NOT_FIELDS = {"self", "event", "exc_info", "stack_info"}


class Dialogue:
    """What a worker and one process say to each other."""

    def __init__(
        self,
        context: RunContext,
        reader: Reader,
        reading: asyncio.StreamReader,
        writing: asyncio.StreamWriter,
    ) -> None:
        self._context = context
        self._reader = reader
        self._reading = reading
        self._writing = writing

    async def result(self, start: Start) -> Result | None:
        """Say what to run, serve the process, and return its result; None where it broke off."""
        try:
            await self._send(framed(start))
            while True:
                message = await self._next()
                match message:
                    case Ended():
                        return _result(message)
                    case Read():
                        await self._send(await self._reply(message))
                    case Report():
                        # A report that comes too late, or is out of range, is worth nothing.
                        with suppress(AttemptOverError, ValueError):
                            self._context.progress(message.fraction, message.message)
                    case LogLine():
                        _write(message)
        except (asyncio.IncompleteReadError, OSError):
            return None
        except (ValueError, RecursionError):
            return died("the agent's process sent something that is no message; it was killed")

    async def _next(self) -> Ended | Read | Report | LogLine:
        size: int = HEADER.unpack(await self._reading.readexactly(HEADER.size))[0]
        if size > LARGEST:
            raise ValueError(f"a message of {size} bytes")
        body = await self._reading.readexactly(size)
        # A big answer is read aside, so that the loop goes on.
        return await asyncio.to_thread(from_process, body) if size > _BIG else from_process(body)

    async def _send(self, frame: bytes) -> None:
        self._writing.write(frame)
        await self._writing.drain()

    async def _reply(self, question: Read) -> bytes:
        try:
            return framed(await self._read(question))
        except TooLargeError as error:
            return framed(Reply(code="input_invalid", message=f"what was asked for {error}"))

    async def _read(self, question: Read) -> Reply:
        try:
            if question.document_type is None:
                return Reply(documents=await self._reader.latest_documents())
            found = await self._reader.document(question.document_type, question.version)
        except CopydeskError as error:
            return Reply(code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001 - the agent may ask for anything
            name = type(error).__name__
            return Reply(code="input_invalid", message=f"this cannot be read ({name})")
        return Reply(documents=[] if found is None else [found])


def died(message: str) -> Fault:
    """Return the fault of a process that gave no answer."""
    return Fault("agent_process_died", message, retryable=True)


def _result(message: Ended) -> Result:
    try:
        return result_of(message)
    except Exception as error:  # noqa: BLE001 - an answer may be anything inside
        return Fault(
            OutputInvalidError.code,
            f"the agent's answer breaks the contract ({type(error).__name__})",
            retryable=False,
        )


def _write(line: LogLine) -> None:
    fields = {
        name: value
        for name, value in line.fields.items()
        if name not in _NOT_FIELDS and not name.startswith("_")
    }
    getattr(structlog.get_logger(line.logger), line.level)(line.event, **fields)
